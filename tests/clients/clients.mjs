// openai-node, the Vercel AI SDK and LangChain JS against a running server: whole and streamed.
//   node clients.mjs http://127.0.0.1:PORT/v1
import assert from "node:assert/strict";

import {createOpenAICompatible} from "@ai-sdk/openai-compatible";
import {HumanMessage} from "@langchain/core/messages";
import {ChatOpenAI} from "@langchain/openai";
import {generateText, streamText} from "ai";
import OpenAI from "openai";

const baseURL = process.argv[2];
const apiKey = "secret";
const prompt = "Once upon a time";

async function openaiNode() {
  const client = new OpenAI({baseURL, apiKey, maxRetries: 0});
  const request = {model: "tiny", messages: [{role: "user", content: prompt}], temperature: 0, max_completion_tokens: 40};
  const whole = (await client.chat.completions.create(request)).choices[0].message.content;
  let streamed = "";
  for await (const chunk of await client.chat.completions.create({...request, stream: true})) {
    streamed += chunk.choices[0]?.delta?.content ?? "";
  }
  assert.equal(streamed, whole);
  await assert.rejects(client.chat.completions.create({...request, model: "other"}), OpenAI.NotFoundError);
}

async function vercel() {
  const provider = createOpenAICompatible({name: "tenon", baseURL, apiKey, supportsStructuredOutputs: true});
  const common = {model: provider("tiny"), prompt, temperature: 0, maxRetries: 0};
  const whole = (await generateText({...common, maxOutputTokens: 40})).text;
  let streamed = "";
  for await (const text of streamText({...common, maxOutputTokens: 40}).textStream) streamed += text;
  assert.equal(streamed, whole);
}

async function langchain() {
  const options = {model: "tiny", apiKey, temperature: 0, maxRetries: 0, configuration: {baseURL}};
  const model = new ChatOpenAI({...options, maxTokens: 40});
  const whole = (await model.invoke([new HumanMessage(prompt)])).content;
  let streamed = "";
  for await (const chunk of await model.stream([new HumanMessage(prompt)])) streamed += chunk.content;
  assert.equal(streamed, whole);
}

for (const test of [openaiNode, vercel, langchain]) {
  await test();
  console.log(`${test.name}: ok`);
}
