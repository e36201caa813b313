// Guessed tokens (--speculative-tokens) change no reply, to the last digit of its logprobs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/json.h"
#include "server_process.h"

namespace tenon::e2e {
namespace {

// Every kind of request that is drawn in its own way. The text of the prompt comes again, and the model repeats itself.
std::vector<Json> requests() {
  const Json base = {{"model", "tiny"},
                     {"prompt", "Lily and Tom had a red ball. Lily and Tom had a red ball. Lily and"},
                     {"temperature", 0},
                     {"max_tokens", 300}};
  std::vector<Json> all;
  const auto add = [&](const Json& more) {
    Json body = base;
    body.update(more);
    all.push_back(body);
  };
  add({{"ignore_eos", true}, {"logprobs", 3}});
  add({{"temperature", 0.7}, {"seed", 5}, {"logprobs", 1}, {"ignore_eos", true}});
  add({{"temperature", 1}, {"seed", 6}, {"n", 2}, {"top_p", 0.9}});
  add({{"stop", Json::array({"happy", "park"})}, {"min_tokens", 40}});
  add({{"repetition_penalty", 1.1}});
  add({{"bad_words", Json::array({" a red ball", "happy"})}});
  add({{"structured_outputs", {{"regex", "( [a-z]{1,5}){5,40}\\."}}}});
  add({{"structured_outputs", {{"choice", Json::array({" Tom had a red ball. Lily and Tom", " Tom ran"})}}}});
  add({{"echo", true}, {"logprobs", 0}, {"max_tokens", 100}});
  return all;
}

Json choices_of(const TinyServer& server, const Json& body) {
  const HttpReply reply = post(server.port(), "/v1/completions", body);
  EXPECT_EQ(reply.status, 200) << reply.body;
  Json answer = reply.json();
  answer["usage"].erase("prompt_tokens_details");  // how much of the prompt the cache had
  return {{"choices", answer["choices"]}, {"usage", answer["usage"]}};
}

TEST(Speculation, ChangesNoReply) {
  const TinyServer plain(false, {"--speculative-tokens", "0"}), guessing(false, {"--speculative-tokens", "12"});
  for (const Json& body : requests()) EXPECT_EQ(choices_of(plain, body), choices_of(guessing, body)) << body;
  EXPECT_EQ(plain.metric("tenon:spec_decode_num_drafts_total"), 0);
  EXPECT_EQ(plain.metric("tenon:generation_tokens_total"), guessing.metric("tenon:generation_tokens_total"));
  EXPECT_GT(guessing.metric("tenon:spec_decode_num_accepted_tokens_total"), 100);
  EXPECT_GE(guessing.metric("tenon:spec_decode_num_draft_tokens_total"),
            guessing.metric("tenon:spec_decode_num_accepted_tokens_total"));
  EXPECT_LT(guessing.metric("tenon:engine_steps_total"), plain.metric("tenon:engine_steps_total"));
}

}  // namespace
}  // namespace tenon::e2e
