/** Documents in the order in which they answer a query, by a cross-encoder. */
import * as v from 'valibot';
import { reservation } from '../http/limits.ts';
import { ask, MAX_ITEMS, need, onTexts, single, strings, usage, usageOf, user } from '../models/asking.ts';
import { operation } from '../operation.ts';
import { fields, name, whole } from '../schemas.ts';

export const rerank = operation({
  method: 'POST',
  path: '/v1/rerank',
  scope: 'search',
  summary: 'Orders documents by how well they answer a query, the best first.',
  body: fields({
    model: name,
    query: single,
    documents: strings(),
    top_n: v.optional(whole(1, MAX_ITEMS)),
    return_documents: v.optional(v.boolean('true or false'), false),
    user,
  }),
  answer: v.object({
    object: v.literal('list'),
    results: v.array(
      v.object({
        index: v.number(),
        relevance_score: v.number(),
        document: v.optional(v.object({ text: v.string() })),
      }),
    ),
    model: v.string(),
    usage,
  }),
  ...onTexts,
  // The query is read together with each document.
  tokens: (body) => reservation(body?.documents.reduce((sum, one) => sum + body.query.length + one.length, 0) ?? 0),
  async handle(call) {
    const { query, documents, top_n: topN = documents.length, return_documents: returned, model: id } = call.body;
    const question = { task: 'rerank', model: id, field: 'documents', texts: documents, beside: query } as const;
    const { results, tokens } = await ask(call, question, (model, context) =>
      need(model, 'rerank')(query, documents, context),
    );
    const ordered = results
      .map((score, index) => ({ index, score }))
      // Of equal ones the first in the list.
      .sort((a, b) => b.score - a.score || a.index - b.index)
      .slice(0, topN);
    return Response.json({
      object: 'list',
      results: ordered.map(({ index, score }) => ({
        index,
        relevance_score: score,
        ...(returned && { document: { text: documents[index] } }),
      })),
      model: id,
      usage: usageOf(tokens),
    });
  },
});
