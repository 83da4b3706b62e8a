import { embed } from './embed.js';

console.log(JSON.stringify(await embed(process.argv[2])));
