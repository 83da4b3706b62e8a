'use client';
import { useEffect, useState } from 'react';
import { embed } from '../embed.js';

/** Shows what came of it as `globalThis.answer`. */
export default function Page() {
  const [status, setStatus] = useState('loading');
  useEffect(() => {
    const host = new URLSearchParams(location.search).get('host');
    globalThis.answer = embed(host).catch(({ code, message }) => ({ code, message }));
    globalThis.answer.then(() => setStatus('ready'));
  }, []);
  return <p>{status}</p>;
}
