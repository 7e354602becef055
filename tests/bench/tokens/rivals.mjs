// SPDX-License-Identifier: MIT
//
// The speed of other tokenizers, cl100k_base, on the files that tokens.c measures: in pieces of 4 KB, the
// quickest of the rounds for each piece. FOLDER is where `npm install gpt-tokenizer js-tiktoken tiktoken`
// was said; what is missing is left out.
//
//   node tests/bench/tokens/rivals.mjs FOLDER FILE…

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { resolve } from 'node:path';

const [folder, ...files] = process.argv.slice(2);
const require = createRequire(resolve(folder, 'x.js'));
const PIECE = 4096;
const ROUNDS = 5;

const makers = {
  'gpt-tokenizer': () => {
    const { countTokens } = require('gpt-tokenizer/encoding/cl100k_base');
    return (text) => countTokens(text, { disallowedSpecial: new Set() });
  },
  'js-tiktoken': () => {
    const { Tiktoken } = require('js-tiktoken/lite');
    const ranks = require('js-tiktoken/ranks/cl100k_base');
    const encoding = new Tiktoken(ranks.default ?? ranks);
    return (text) => encoding.encode(text, [], []).length;
  },
  'tiktoken (wasm)': () => {
    const encoding = require('tiktoken').get_encoding('cl100k_base');
    return (text) => encoding.encode_ordinary(text).length;
  },
};

function measure(count, text) {
  let tokens = 0;
  let best = [];
  for (let round = 0; round < ROUNDS; round++) {
    tokens = 0;
    for (let at = 0, i = 0; at < text.length; at += PIECE, i++) {
      const piece = text.slice(at, at + PIECE);
      const start = process.hrtime.bigint();
      tokens += count(piece);
      const took = Number(process.hrtime.bigint() - start);
      best[i] = Math.min(best[i] ?? Infinity, took);
    }
  }
  return [tokens, (Buffer.byteLength(text) * 1e3) / best.reduce((sum, took) => sum + took, 0)];
}

for (const [name, make] of Object.entries(makers)) {
  let count;
  try {
    count = make();
  } catch (fault) {
    console.log(`${name}: not here (${fault.code ?? fault.message})`);
    continue;
  }
  for (const file of files) {
    const [tokens, speed] = measure(count, readFileSync(file, 'utf8'));
    console.log(`${file} ${name}: ${tokens} tokens, ${speed.toFixed(1)} MB/s`);
  }
}
