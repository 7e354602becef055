// SPDX-License-Identifier: MIT
// What the client of Node.js must get; address and token come by its own environment variables.

import assert from "node:assert/strict";
import OpenAI from "openai";

const model = "hashed-768";
const client = new OpenAI({ maxRetries: 0 });
const create = (body) => client.embeddings.create({ model, ...body });
const bytes = (numbers) => Buffer.from(Float32Array.from(numbers).buffer);

const refused = async (kind, code, promise) =>
  assert.rejects(
    promise,
    (error) => error instanceof kind && error.code === code && error.error.message.length > 0,
  );

const byDefault = await create({ input: "tiktoken is great!" }); // asks for base64
const floats = await create({ input: "tiktoken is great!", encoding_format: "float" });
const coded = await create({ input: "tiktoken is great!", encoding_format: "base64" });
assert.equal(byDefault.data[0].embedding.length, 768);
assert.equal(byDefault.usage.prompt_tokens, 6);
assert.deepEqual(bytes(floats.data[0].embedding), bytes(byDefault.data[0].embedding));
assert.deepEqual(Buffer.from(coded.data[0].embedding, "base64"), bytes(byDefault.data[0].embedding));

const input = Array.from({ length: 500 }, (_, at) => `text number ${at}`);
const many = await create({ input });
assert.deepEqual(many.data.map((item) => item.index), input.map((_, at) => at));
const alone = await create({ input: input[499] });
assert.deepEqual(alone.data[0].embedding, many.data[499].embedding);

const names = [];
for await (const one of client.models.list()) {
  names.push(one.id);
}
assert.deepEqual(names, [model]);
assert.equal((await client.models.retrieve(model)).id, model);

await refused(OpenAI.NotFoundError, "model_not_found", client.models.retrieve("gpt-4o"));
await refused(OpenAI.NotFoundError, "model_not_found", create({ model: "other", input: "x" }));
await refused(OpenAI.BadRequestError, "invalid_value", create({ input: "" }));
await refused(OpenAI.BadRequestError, "invalid_type", create({ input: [[1, 2]] }));
await refused(
  OpenAI.AuthenticationError,
  "unauthorized",
  client.withOptions({ apiKey: "wrong" }).embeddings.create({ model, input: "x" }),
);
