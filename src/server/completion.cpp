#include "server/completion.h"

#include <algorithm>
#include <random>
#include <span>
#include <string_view>
#include <utility>

#include "base/log.h"
#include "server/answer_limits.h"
#include "server/logprobs.h"
#include "server/responses_request.h"
#include "server/structured.h"

namespace tenon::server {
namespace {

// `form`: the parameter that says what the reply must be.
Error error_of(const generate::Delta& last, const std::string& form) {
  switch (last.finish) {
    case engine::FinishReason::kError:
      return {ErrorCode::kInternal, "the request failed: " + last.error};
    case engine::FinishReason::kTimeout:
      return {ErrorCode::kDeadlineExceeded, "the reply was not complete within the request's timeout", "timeout"};
    case engine::FinishReason::kGrammar: {
      // With a form too, it may be another parameter that leaves nothing: the engine names it first.
      const bool named = last.error.starts_with('\'');
      return {ErrorCode::kInvalidArgument, last.error,
              named ? last.error.substr(1, last.error.find('\'', 1) - 1) : form};
    }
    default:
      return {ErrorCode::kUnavailable, "the server stopped before the reply was complete"};
  }
}

bool is_of_call(const chat::ReplyPart& part) {
  return part.kind == chat::ReplyPart::Kind::kToolCall || part.kind == chat::ReplyPart::Kind::kArguments;
}

Json json_of(const generate::StopReason& reason) {
  if (const auto* id = std::get_if<std::int32_t>(&reason)) return *id;
  if (const auto* text = std::get_if<std::string>(&reason)) return *text;
  return nullptr;
}

// The engine's refusal of a prompt beyond the context, before it is copied for every choice: a text of 12 MB in 128 of
// them took 5 GB and 13 s.
Status check_context(const generate::Generator& generator, const generate::GenerateRequest& request,
                     const std::vector<generate::EncodedPrompt>& prompts) {
  const std::int64_t most = generator.engine().options().max_length;
  const auto longer = [most](const auto& prompt) { return std::ssize(prompt.ids) > most; };
  const auto found = std::ranges::find_if(prompts, longer);
  if (found == prompts.end()) return {};
  generate::GenerateRequest one = request;
  one.prompt.value = *found;
  const auto reply = generator.start(std::move(one), [](const generate::Delta&) {});
  return reply ? Status() : std::unexpected(reply.error());
}

// Nine letters and digits: Mistral's templates take no other.
std::string new_call_id() {
  static constexpr std::string_view kLetters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  thread_local std::mt19937_64 random{std::random_device{}()};
  std::string id(9, '0');
  for (char& c : id) c = kLetters[random() % kLetters.size()];
  return id;
}

}  // namespace

void refuse(Exchange& exchange, int status, const Error& error, Exchange::Headers headers) {
  exchange.respond(status, dump(error_object(status, error)), "application/json", std::move(headers));
}

void refuse(Exchange& exchange, const Error& error) {
  const int status = http_status(error);
  refuse(exchange, status, error, status == 429 ? Exchange::Headers{{"Retry-After", "1"}} : Exchange::Headers{});
}

using chat::ReplyPart;
using engine::FinishReason;

Completion::Completion(ReplyIdentity identity, TimePoint begin, std::shared_ptr<Exchange> exchange, Metrics& metrics,
                       const ParsedRequest& request)
    : identity_(std::move(identity)),
      exchange_(std::move(exchange)),
      metrics_(metrics),
      stream_(request.stream),
      include_usage_(request.include_usage),
      continuous_usage_(request.include_usage && request.continuous_usage),
      parallel_tool_calls_(request.parallel_tool_calls),
      token_ids_(request.return_token_ids),
      names_are_ids_(request.return_tokens_as_token_ids),
      prompt_logprobs_(request.prompt_logprobs),
      echoed_logprobs_(request.echo && request.logprobs ? request.generate.sampling.top_logprobs : -1),
      n_(request.n),
      form_(request.bad_words.empty() ? "" : "bad_words"),
      named_call_(request.tool_choice == ToolChoice::kNamed),
      begin_(begin) {
  if (request.response.is_null()) return;
  ResponseWriter::Send send;
  if (stream_) send = [exchange = exchange_](const Json& event) { exchange->send_event(dump(event), event["type"]); };
  response_ = std::make_unique<ResponseWriter>(identity_, request.response, std::move(send));
}

Status Completion::start(const generate::Generator& generator, ParsedRequest request, ReplyIdentity identity,
                         TimePoint begin, std::shared_ptr<Exchange> exchange, Metrics& metrics) {
  auto self = std::shared_ptr<Completion>(new Completion(std::move(identity), begin, exchange, metrics, request));
  exchange->on_hang_up([weak = std::weak_ptr(self)] {
    if (auto completion = weak.lock()) {
      completion->hung_up_ = true;
      completion->abandon();
    }
  });
  auto begun = self->begin(generator, std::move(request));
  if (!begun) return std::unexpected(self->in_words(std::move(begun).error()));
  return begun;
}

Status Completion::begin(const generate::Generator& generator, ParsedRequest request) {
  std::vector<generate::EncodedPrompt> prompts;
  for (auto& prompt : request.prompts) {
    TENON_ASSIGN(generate::EncodedPrompt encoded, generator.encode(std::move(prompt)));
    prompts.push_back(std::move(encoded));
  }
  TENON_TRY(check_context(generator, request.generate, prompts));
  TENON_ASSIGN(auto source, reply_source(request, prompts.front(), generator));
  TENON_TRY(check_memory(request, prompts, source ? source->text.size() : 0, generator.engine().options().max_length));
  if (!source) return start_choices(generator, request, prompts);
  form_ = source->param;
  // Compiling takes milliseconds, or seconds where the client wants to know: not on the I/O thread.
  auto then = [self = shared_from_this(), &generator, request = std::move(request),
               prompts = std::move(prompts)](grammar::Compiled compiled) mutable {
    self->exchange_->post([self, &generator, request = std::move(request), prompts = std::move(prompts),
                           compiled = std::move(compiled)]() mutable {
      if (self->hung_up_) return;
      if (!compiled) return refuse(*self->exchange_, compiled.error());
      request.generate.grammar = *std::move(compiled);
      if (auto begun = self->start_choices(generator, request, prompts); !begun)
        refuse(*self->exchange_, self->in_words(begun.error()));
    });
  };
  return generator.grammars().submit(*std::move(source), std::move(then));
}

// With the first delta, as in vLLM: what fails before it is answered with its status, and clients that take the first
// chunk for the first token measure the prompt's time.
void Completion::begin_stream() {
  if (std::exchange(begun_, true)) return;
  exchange_->begin_events();
  if (response_) return response_->begin();
  for (std::size_t i = 0; identity_.chat && i < choices_.size(); ++i) {
    send_chunk(first_chunk(identity_, static_cast<int>(i), continuous_usage(), first_of_prompt(i).prompt_token_ids));
  }
}

Status Completion::start_choices(const generate::Generator& generator, const ParsedRequest& request,
                                 const std::vector<generate::EncodedPrompt>& prompts) {
  choices_.resize(prompts.size() * static_cast<std::size_t>(request.n));
  std::vector<generate::Start> starts;
  std::size_t index = 0;
  for (const auto& encoded : prompts) {
    const auto length = static_cast<std::int64_t>(encoded.ids.size());
    prompt_tokens_ += length;
    for (int i = 0; i < request.n; ++i, ++index) {
      Choice& choice = choices_[index];
      choice.times.begin = begin_;
      choice.max_tokens =
          std::min(request.generate.max_tokens.value_or(INT64_MAX), generator.engine().options().max_length - length);
      choice.echo = request.echo ? encoded.text : request.echoed;
      if (identity_.chat) {
        choice.parser =
            chat::make_reply_parser(request.format, {request.tools, request.stream}, encoded.text, encoded.continued);
      }
      generate::GenerateRequest one = request.generate;
      if (i > 0) one.prompt_logprobs = -1;  // the first choice has them for all
      if (one.prompt_logprobs >= 0) choice.prompt_left = length;
      if (token_ids_ && i == 0) choice.prompt_token_ids = encoded.ids;
      choice.shows_prompt = token_ids_ && !identity_.chat;
      one.prompt.value = encoded;
      one.sampling.seed = sampler::choice_seed(one.sampling.seed, i);
      // The sink runs on the engine thread; deltas reach this object on the I/O thread, after start() has returned.
      auto sink = [self = shared_from_this(), exchange = exchange_, index](const generate::Delta& delta) {
        exchange->post([self, index, delta = delta]() mutable { self->on_delta(index, std::move(delta)); });
      };
      starts.push_back({std::move(one), std::move(sink)});
    }
  }
  TENON_ASSIGN(auto replies, generator.start_all(std::move(starts)));
  for (std::size_t i = 0; i < choices_.size(); ++i) choices_[i].reply = std::move(replies[i]);
  running_ = choices_.size();
  return {};
}

void Completion::on_delta(std::size_t index, generate::Delta delta) {
  if (choices_.empty() || !choices_[index].reply) return;  // hung up
  Choice& choice = choices_[index];
  const bool first = index % static_cast<std::size_t>(n_) == 0;
  if (echoed_logprobs_ >= 0 && !first && first_of_prompt(index).prompt_left > 0) {
    return choice.held.push_back(std::move(delta));
  }
  const bool last = delta.finish != FinishReason::kNone;
  const bool failed = last && delta.finish != FinishReason::kStop && delta.finish != FinishReason::kLength;
  if (stream_ && !failed) begin_stream();
  if (choices_.empty()) return;  // sending found that the client is gone
  const TimePoint now = std::chrono::steady_clock::now();
  if (delta.completion_tokens > choice.completion_tokens) metrics_.token(choice.times, now, delta.queue_seconds);
  choice.completion_tokens = delta.completion_tokens;
  choice.cached_tokens = delta.cached_tokens;
  const bool scores = choice.prompt_left > 0;
  keep_prompt(choice, std::move(delta.prompt_logprobs));
  const bool scored = scores && choice.prompt_left <= 0;
  if (scored) share_echo(index);
  if (token_ids_ && delta.token >= 0) choice.token_ids.push_back(delta.token);
  if (delta.logprobs) choice.logprobs.push_back(std::move(*delta.logprobs));
  if (last) {
    choice.finish_reason = finish_reason_name(delta.finish);
    choice.stop_reason = json_of(delta.stop_reason);
    end(index, delta.finish == FinishReason::kCancelled ? "abort" : choice.finish_reason);
    if (failed) return fail(delta);
  }
  if (response_) {
    response_->add(take_pieces(index, delta), choice.completion_tokens);
  } else if (stream_) {
    send(index, delta);  // which may find that the client is gone
  } else {
    keep(choice, delta);
  }
  if (last && !choices_.empty() && running_ == 0) return finish();
  if (scored) release(index);
}

// The logprobs of an echo, which the first choice of a prompt has, are those of the others too.
void Completion::share_echo(std::size_t first) {
  if (echoed_logprobs_ < 0) return;
  for (std::size_t i = first + 1; i < first + static_cast<std::size_t>(n_); ++i) {
    choices_[i].logprobs = choices_[first].logprobs;
  }
}

// What came meanwhile of the others, which begin with them.
void Completion::release(std::size_t first) {
  for (std::size_t i = first + 1; i < first + static_cast<std::size_t>(n_) && !choices_.empty(); ++i) {
    for (auto& delta : std::exchange(choices_[i].held, {})) on_delta(i, std::move(delta));
    if (choices_.empty()) return;
  }
}

// Each choice is counted here, once: at its last delta, or when nobody wants it any more.
void Completion::end(std::size_t index, const char* reason) {
  Choice& choice = choices_[index];
  metrics_.finished(reason,
                    {.prompt_tokens = choice.reply->prompt_tokens(),
                     .completion_tokens = choice.completion_tokens,
                     .cached_tokens = choice.cached_tokens},
                    choice.times, std::chrono::steady_clock::now());
  choice.reply.reset();
  --running_;
  const auto n = static_cast<std::size_t>(n_);
  const auto of_prompt = std::span(choices_).subspan(index - index % n, n);
  if (std::ranges::any_of(of_prompt, [](const Choice& one) { return one.reply != nullptr; })) return;
  const auto longest = std::ranges::max_element(of_prompt, {}, &Choice::completion_tokens);
  metrics_.prompt_finished(n_, choice.max_tokens, longest->completion_tokens);
}

// What still runs is wanted no more.
void Completion::abandon() {
  for (std::size_t i = 0; i < choices_.size(); ++i) {
    if (choices_[i].reply) end(i, "abort");
  }
  choices_.clear();
}

chat::ReplyParts Completion::take_parts(Choice& choice, const generate::Delta& delta) {
  chat::ReplyParts parts;
  std::string text = std::exchange(choice.echo, {});
  if (!choice.parser) text += delta.text;
  if (!text.empty()) parts.push_back({ReplyPart::Kind::kContent, std::move(text)});
  if (!choice.parser) return parts;
  choice.parser->push(delta.text, parts);
  if (delta.finish != FinishReason::kNone) choice.parser->finish(parts);
  return parts;
}

// A call, or more of its arguments. Empty, where the client wants no more than one call and has it.
ChoiceJson Completion::take_call(Choice& choice, const ReplyPart& part) {
  ChoiceJson out;
  const bool begins = part.kind == ReplyPart::Kind::kToolCall;
  if (begins) choice.skips_call = !choice.calls.empty() && !parallel_tool_calls_;
  if (choice.skips_call) return out;
  const int index = static_cast<int>(choice.calls.size()) - (begins ? 0 : 1);
  if (begins) {
    const std::string id = new_call_id();
    choice.calls.push_back(tool_call(part, id));
    out.tool_calls.push_back(tool_call(part, id, index));
  } else {
    choice.calls.back()["function"]["arguments"].get_ref<std::string&>() += part.text;
    out.tool_calls.push_back(more_arguments(part, index));
  }
  return out;
}

// What a delta adds to a whole answer.
void Completion::keep(Choice& choice, const generate::Delta& delta) {
  for (const ReplyPart& part : take_parts(choice, delta)) {
    if (part.kind == ReplyPart::Kind::kContent) choice.text += part.text;
    if (part.kind == ReplyPart::Kind::kReasoning) choice.reasoning += part.text;
    if (is_of_call(part)) take_call(choice, part);
  }
  if (delta.finish == FinishReason::kStop && !choice.calls.empty() && !named_call_) {
    choice.finish_reason = "tool_calls";
  }
}

void Completion::keep_prompt(Choice& choice, std::vector<generate::ScoredToken> tokens) const {
  choice.prompt_left -= std::ssize(tokens);
  for (auto& token : tokens) {
    if (prompt_logprobs_ >= 0) choice.prompt_logprobs.push_back(prompt_logprob(token, prompt_logprobs_));
    if (echoed_logprobs_ < 0) continue;
    token.top.resize(std::min(token.top.size(), static_cast<std::size_t>(echoed_logprobs_)));
    choice.logprobs.push_back(std::move(token));
  }
}

const Completion::Choice& Completion::first_of_prompt(std::size_t index) const {
  return choices_[index - index % static_cast<std::size_t>(n_)];
}

// What a delta adds to the reply, with the logprobs so far.
std::vector<ChoiceJson> Completion::take_pieces(std::size_t index, const generate::Delta& delta) {
  std::vector<ChoiceJson> pieces;
  Choice& choice = choices_[index];
  for (const ReplyPart& part : take_parts(choice, delta)) {
    if (part.kind == ReplyPart::Kind::kContent) pieces.push_back({.text = part.text});
    if (part.kind == ReplyPart::Kind::kReasoning) pieces.push_back({.reasoning = part.text});
    if (is_of_call(part)) pieces.push_back(take_call(choice, part));
  }
  if (!choice.logprobs.empty()) {
    if (pieces.empty()) pieces.emplace_back();
    pieces.front().logprobs = take_logprobs(choice);
  }
  return pieces;
}

// The chunks of a stream that a delta makes; none where it has nothing to show yet.
void Completion::send(std::size_t index, const generate::Delta& delta) {
  if (choices_[index].prompt_left > 0) return;  // the prompt comes in one chunk, with all of its logprobs
  std::vector<ChoiceJson> chunks = take_pieces(index, delta);
  {
    Choice& choice = choices_[index];
    if (delta.finish != FinishReason::kNone) {
      const bool calls = delta.finish == FinishReason::kStop && !choice.calls.empty() && !named_call_;
      chunks.push_back({.finish_reason = calls ? "tool_calls" : finish_reason_name(delta.finish),
                        .stop_reason = choice.stop_reason});
    }
    if (!choice.token_ids.empty()) {
      if (chunks.empty()) chunks.emplace_back();
      chunks.front().token_ids = std::exchange(choice.token_ids, {});
    }
    if (!chunks.empty() && std::exchange(choice.shows_prompt, false)) {
      chunks.front().prompt_token_ids = first_of_prompt(index).prompt_token_ids;
    }
  }
  for (ChoiceJson& chunk : chunks) {
    if (choices_.empty()) return;  // sending found that the client is gone
    chunk.index = static_cast<int>(index);
    const bool empty = chunk.text.empty() && chunk.reasoning.empty() && chunk.tool_calls.empty() &&
                       chunk.logprobs.is_null() && chunk.token_ids.is_null() && !chunk.finish_reason;
    if (!empty) send_chunk(choice_chunk(identity_, chunk, continuous_usage()));
  }
}

void Completion::send_chunk(Json chunk) {
  if (include_usage_ && !continuous_usage_) chunk["usage"] = nullptr;  // it comes with the last chunk
  exchange_->send_event(dump(chunk));
}

Json Completion::take_logprobs(Choice& choice) {
  const auto tokens = std::exchange(choice.logprobs, {});
  return identity_.chat ? chat_logprobs(tokens, names_are_ids_) : text_logprobs(tokens, choice.offset, names_are_ids_);
}

// What the client calls its parameters.
Error Completion::in_words(Error error) const { return response_ ? in_words_of_responses(std::move(error)) : error; }

void Completion::fail(const generate::Delta& last) {
  const Error error = in_words(error_of(last, form_));
  if (last.finish == FinishReason::kError) TENON_LOG_ERROR("{}: {}", identity_.id, last.error);
  const Usage so_far = usage();
  abandon();
  const int status = http_status(error);
  if (begun_ && response_) {
    response_->fail(status, error, so_far);
    exchange_->end_events();
  } else if (begun_) {
    exchange_->send_event(dump(error_object(status, error)));
    exchange_->end_events();
  } else {
    exchange_->respond(status, dump(error_object(status, error)));
  }
}

Usage Completion::usage() const {
  Usage usage{.prompt_tokens = prompt_tokens_};
  for (std::size_t i = 0; i < choices_.size(); ++i) {
    usage.completion_tokens += choices_[i].completion_tokens;
    // Each prompt counts once, as its first choice found it.
    if (i % static_cast<std::size_t>(n_) == 0) usage.cached_tokens += choices_[i].cached_tokens;
  }
  return usage;
}

std::optional<Usage> Completion::continuous_usage() const {
  return continuous_usage_ ? std::optional(usage()) : std::nullopt;
}

void Completion::finish() {
  if (response_) {
    const Json whole = response_->finish(choices_.front().finish_reason, usage());
    stream_ ? exchange_->end_events() : exchange_->respond(200, dump(whole));
  } else if (stream_) {
    if (include_usage_) exchange_->send_event(dump(usage_chunk(identity_, usage())));
    exchange_->send_event("[DONE]");
    exchange_->end_events();
  } else {
    std::vector<ChoiceJson> whole;
    for (Choice& choice : choices_) {
      const Choice& first = first_of_prompt(whole.size());
      const bool shows_prompt = !identity_.chat || whole.empty();  // a chat's stands beside its choices, once
      whole.push_back({.index = static_cast<int>(whole.size()),
                       .text = std::move(choice.text),
                       .reasoning = std::move(choice.reasoning),
                       .tool_calls = Json(std::move(choice.calls)),
                       .logprobs = take_logprobs(choice),
                       .finish_reason = choice.finish_reason,
                       .stop_reason = std::move(choice.stop_reason),
                       .token_ids = token_ids_ ? Json(std::move(choice.token_ids)) : Json(),
                       .prompt_token_ids = shows_prompt ? first.prompt_token_ids : Json(),
                       .prompt_logprobs = shows_prompt ? first.prompt_logprobs : Json()});
    }
    std::string body = dump(reply_object(identity_, std::move(whole), usage()));  // of which only the text is kept
    exchange_->respond(200, std::move(body));
  }
  choices_.clear();
}

}  // namespace tenon::server
