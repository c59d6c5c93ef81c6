// Shows the chat at http://127.0.0.1:8080: node chat.mjs [PORT]
// The server of its streams: retold serve --allow-origin http://127.0.0.1:8080
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';

const page = await readFile(new URL('index.html', import.meta.url));
const server = createServer((request, response) => {
  const isPage = request.method === 'GET' && new URL(request.url, 'http://x').pathname === '/';
  response.writeHead(isPage ? 200 : 404, { 'content-type': 'text/html; charset=utf-8' });
  response.end(isPage ? page : '');
});
server.listen(Number(process.argv[2] ?? 8080), '127.0.0.1', () => {
  console.log(`http://127.0.0.1:${server.address().port}/?server=http://127.0.0.1:7878&room=lobby&me=ada`);
});
