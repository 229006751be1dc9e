// Our own WebAssembly modules, which are kept as base64: compiled once, when the file that names one is loaded.

/** The parts of WebAssembly that are used; the types of Node do not have them. */
declare const WebAssembly: {
  Module: new (bytes: Uint8Array) => object
  Instance: new (module: object, imports: object) => { readonly exports: object }
}

/**
 * Compiles a module without imports.
 * @returns what makes an instance of it, with a memory of its own; `Exports` is what its source exports
 * @throws WebAssembly.CompileError on a processor without SIMD
 */
export function compileModule<Exports>(base64: string): () => Exports {
  const module = new WebAssembly.Module(Buffer.from(base64, 'base64'))
  return () => new WebAssembly.Instance(module, {}).exports as Exports
}
