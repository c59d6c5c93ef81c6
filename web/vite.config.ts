// The page is built into `server/page`, which is committed: the server embeds it, and building the server needs no Node.
import { defineConfig } from 'vite';

export default defineConfig({
  esbuild: { jsx: 'automatic', jsxImportSource: 'preact' },
  build: {
    target: 'es2022',
    outDir: '../server/page',
    emptyOutDir: true,
    cssCodeSplit: false,
    // The content security policy takes no inline scripts, and files must not depend on the machine that builds them.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    rollupOptions: {
      output: {
        entryFileNames: 'assets/[name]-[hash].js',
        chunkFileNames: 'assets/[name]-[hash].js',
        assetFileNames: 'assets/[name]-[hash][extname]',
      },
    },
  },
  server: { proxy: { '/v1': 'http://127.0.0.1:7878' } },
});
