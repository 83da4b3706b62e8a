import { embed } from './embed.js';

export default {
  fetch: async (request) => Response.json(await embed(new URL(request.url).searchParams.get('host'))),
};
