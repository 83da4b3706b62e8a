import { embed } from '../../../embed.js';

export const runtime = 'edge';
export const GET = async (request) => Response.json(await embed(request.nextUrl.searchParams.get('host')));
