// openai-node, the Vercel AI SDK and LangChain JS against a running server, chats and responses: whole and streamed, tools,
// a schema.
//   node clients.mjs http://127.0.0.1:PORT/v1
import assert from "node:assert/strict";

import {createOpenAI} from "@ai-sdk/openai";
import {createOpenAICompatible} from "@ai-sdk/openai-compatible";
import {HumanMessage} from "@langchain/core/messages";
import {tool as langchainTool} from "@langchain/core/tools";
import {ChatOpenAI} from "@langchain/openai";
import {generateObject, generateText, stepCountIs, streamText, tool} from "ai";
import OpenAI from "openai";
import {z} from "zod";

const baseURL = process.argv[2];
const apiKey = "secret";
const prompt = "Once upon a time";
const City = z.object({city: z.enum(["Paris", "Oslo"]), days: z.union([z.literal(1), z.literal(2)])});
const Answer = z.object({verdict: z.boolean()});

async function openaiNode() {
  const client = new OpenAI({baseURL, apiKey, maxRetries: 0});
  const request = {model: "tiny", messages: [{role: "user", content: prompt}], temperature: 0, max_completion_tokens: 40};
  const whole = (await client.chat.completions.create(request)).choices[0].message.content;
  let streamed = "";
  for await (const chunk of await client.chat.completions.create({...request, stream: true})) {
    streamed += chunk.choices[0]?.delta?.content ?? "";
  }
  assert.equal(streamed, whole);
  const called = await client.chat.completions.create({
    ...request, max_completion_tokens: 200, tool_choice: "required",
    tools: [{type: "function", function: {name: "weather", parameters: z.toJSONSchema(City)}}]});
  City.parse(JSON.parse(called.choices[0].message.tool_calls[0].function.arguments));
  const shaped = await client.chat.completions.create({
    ...request, max_completion_tokens: 200,
    response_format: {type: "json_schema", json_schema: {name: "answer", strict: true, schema: z.toJSONSchema(Answer)}}});
  Answer.parse(JSON.parse(shaped.choices[0].message.content));
  await assert.rejects(client.chat.completions.create({...request, model: "other"}), OpenAI.NotFoundError);
}

async function openaiNodeResponses() {
  const client = new OpenAI({baseURL, apiKey, maxRetries: 0});
  const request = {model: "tiny", input: prompt, temperature: 0, max_output_tokens: 40};
  const whole = await client.responses.create(request);
  assert.ok(whole.output_text);
  let streamed = "", last;
  for await (const event of await client.responses.create({...request, stream: true})) {
    if (event.type === "response.output_text.delta") streamed += event.delta;
    last = event;
  }
  assert.equal(streamed, whole.output_text);
  assert.equal(last.response.status, "incomplete");
  const tools = [{type: "function", name: "weather", strict: true, parameters: z.toJSONSchema(City)}];
  const calls = {...request, max_output_tokens: 200, tools, tool_choice: "required", parallel_tool_calls: false};
  City.parse(JSON.parse((await client.responses.create(calls)).output[0].arguments));
  const stream = client.responses.stream(calls);
  City.parse(JSON.parse((await stream.finalResponse()).output[0].arguments));
  const shaped = await client.responses.parse({
    ...request, max_output_tokens: 200,
    text: {format: {type: "json_schema", name: "answer", strict: true, schema: z.toJSONSchema(Answer)}}});
  Answer.parse(JSON.parse(shaped.output_text));
  await assert.rejects(client.responses.create({...request, previous_response_id: "resp_1"}), OpenAI.BadRequestError);
  await assert.rejects(client.responses.retrieve(whole.id), OpenAI.NotFoundError);
}

// openai() is the responses model. It takes what it has said for stored unless it is told otherwise.
async function vercelResponses() {
  const openai = createOpenAI({baseURL, apiKey});
  const common = {model: openai("tiny"), prompt, temperature: 0, maxRetries: 0, providerOptions: {openai: {store: false}}};
  const whole = await generateText({...common, maxOutputTokens: 40});
  assert.ok(whole.text);
  assert.equal(whole.finishReason, "length");
  assert.equal(whole.usage.outputTokens, 40);
  let streamed = "";
  for await (const text of streamText({...common, maxOutputTokens: 40}).textStream) streamed += text;
  assert.equal(streamed, whole.text);
  const tools = {weather: tool({description: "The weather of a city", inputSchema: City, execute: async () => "fine"})};
  let steps = 0;
  const called = await generateText({...common, maxOutputTokens: 200, tools, stopWhen: stepCountIs(2), prepareStep: () => {
    return {toolChoice: steps++ === 0 ? "required" : "none"};
  }});
  assert.equal(called.steps.length, 2);
  City.parse(called.steps[0].toolCalls[0].input);
  const calls = streamText({...common, maxOutputTokens: 200, tools: {weather: tool({inputSchema: City})}, toolChoice: "required"});
  City.parse((await calls.toolCalls)[0].input);
  Answer.parse((await generateObject({...common, maxOutputTokens: 200, schema: Answer})).object);
}

async function vercel() {
  const provider = createOpenAICompatible({name: "tenon", baseURL, apiKey, supportsStructuredOutputs: true});
  const common = {model: provider("tiny"), prompt, temperature: 0, maxRetries: 0};
  const whole = (await generateText({...common, maxOutputTokens: 40})).text;
  let streamed = "";
  for await (const text of streamText({...common, maxOutputTokens: 40}).textStream) streamed += text;
  assert.equal(streamed, whole);
  const tools = {weather: tool({description: "The weather of a city", inputSchema: City})};
  const {toolCalls} = await generateText({...common, maxOutputTokens: 200, tools, toolChoice: "required"});
  City.parse(toolCalls[0].input);
  Answer.parse((await generateObject({...common, maxOutputTokens: 200, schema: Answer})).object);
}

async function langchain() {
  const options = {model: "tiny", apiKey, temperature: 0, maxRetries: 0, configuration: {baseURL}};
  const model = new ChatOpenAI({...options, maxTokens: 40});
  const whole = (await model.invoke([new HumanMessage(prompt)])).content;
  let streamed = "";
  for await (const chunk of await model.stream([new HumanMessage(prompt)])) streamed += chunk.content;
  assert.equal(streamed, whole);
  const responses = new ChatOpenAI({...options, maxTokens: 40, useResponsesApi: true});
  assert.equal((await responses.invoke([new HumanMessage(prompt)])).text, whole);
  const long = new ChatOpenAI({...options, maxTokens: 200});
  const weather = langchainTool(async () => "fine", {name: "weather", description: "The weather", schema: City});
  const called = await long.bindTools([weather], {tool_choice: "required"}).invoke(prompt);
  City.parse(called.tool_calls[0].args);
  const shaped = long.withStructuredOutput(Answer, {method: "jsonSchema", name: "answer", strict: true});
  Answer.parse(await shaped.invoke(prompt));
}

for (const test of [openaiNode, openaiNodeResponses, vercel, vercelResponses, langchain]) {
  await test();
  console.log(`${test.name}: ok`);
}
