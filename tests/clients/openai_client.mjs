// One scenario of the OpenAI SDK for JavaScript, named on the command line; prints what it saw as JSON.
import OpenAI from "openai";

const [, , scenario, baseURL, apiKey] = process.argv;
const client = new OpenAI({ baseURL, apiKey, maxRetries: 0 });
const hello = [{ role: "user", content: "Hello!" }];
const story = [{ role: "user", content: "Tell me a story" }];

async function collect(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return {
    chunks: chunks.length,
    text: chunks.map((chunk) => chunk.choices[0]?.delta.content ?? "").join(""),
    usage: chunks.filter((chunk) => chunk.usage).map((chunk) => chunk.usage.completion_tokens),
  };
}

async function failure(call) {
  try {
    await call;
  } catch (error) {
    return { name: error.constructor.name, status: error.status, type: error.type };
  }
  return null;
}

const scenarios = {
  models: async () => (await client.models.list()).data.map((model) => model.id),
  chat: async () => {
    const answer = await client.chat.completions.create({ model: "gpt-4o", messages: hello });
    return { text: answer.choices[0].message.content, model: answer.model, usage: answer.usage.completion_tokens };
  },
  stream: async () => collect(await client.chat.completions.create({ model: "gpt-4o", messages: story, stream: true })),
  streamWithUsage: async () =>
    collect(
      await client.chat.completions.create({
        model: "gpt-4o",
        messages: story,
        stream: true,
        stream_options: { include_usage: true },
      }),
    ),
  tools: async () => {
    const answer = await client.chat.completions.create({
      model: "gpt-4o",
      messages: [{ role: "user", content: "Weather in Paris?" }],
      tools: [{ type: "function", function: { name: "get_weather", parameters: { type: "object", properties: {} } } }],
    });
    return answer.choices[0].message.tool_calls[0].function;
  },
  embeddings: async () => {
    const asked = { model: "text-embedding-3-small", input: ["one", "two"], encoding_format: "float" };
    return (await client.embeddings.create(asked)).data.map((item) => item.embedding);
  },
  // Without an encoding the SDK asks for base64 and decodes it; aimock does not know base64, the demo model does.
  encodedEmbeddings: async () =>
    (await client.embeddings.create({ model: "demo", input: ["one", "two"] })).data.map((item) => item.embedding),
  completions: async () => (await client.completions.create({ model: "demo", prompt: "Say something" })).choices[0].text,
  failures: async () => ({
    wrongKey: await failure(new OpenAI({ baseURL, apiKey: "sk-no-such-key-0123456789", maxRetries: 0 }).models.list()),
    unknownModel: await failure(client.chat.completions.create({ model: "no-such-model", messages: hello })),
    rateLimited: await failure(
      client.chat.completions.create({ model: "gpt-4o", messages: [{ role: "user", content: "fail with 429" }] }),
    ),
  }),
  abort: async () => {
    const stream = await client.chat.completions.create({
      model: "gpt-4o",
      messages: story,
      stream: true,
    });
    let seen = 0;
    for await (const _ of stream) if (++seen === 2) break; // leaving the loop aborts the request
    return seen;
  },
};

console.log(JSON.stringify(await scenarios[scenario]()));
