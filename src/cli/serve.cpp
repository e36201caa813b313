#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "base/log.h"
#include "chat/reply_parser.h"
#include "chat/whole_prompt.h"
#include "cli/cli.h"
#include "cli/validators.h"
#include "server/server.h"

namespace tenon::cli {
namespace {

struct ServeOptions {
  ModelOptions model;
  server::ServerOptions server;
  std::string served_model_name, generation_config = "auto", tool_call_parser = "auto", reasoning_parser = "auto";
  std::string metrics_prefix = "tenon";
  std::vector<std::string> api_keys, allowed_origins;
  bool allow_unknown_fields = false;
};

struct Example {
  const char* endpoint;
  const char* fields;
};

Example example_of(const Assembly& assembly) {
  if (assembly.embedder) return {"embeddings", R"("input": "What is the capital of France?")"};
  if (!assembly.generator->has_chat_template()) return {"completions", R"("prompt": "Once upon a time")"};
  // Greedy, for a small model's draws at the default temperature of 1 say little about it.
  return {"chat/completions",
          R"("messages": [{"role": "user", "content": "What is the capital of France?"}], "temperature": 0)"};
}

std::string quoted_for_shell(const std::string& text) {
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? "'\\''" : std::string(1, c);
  return out + "'";
}

// The key itself is not shown: this line ends in logs.
void print_address(const std::string& address, const std::string& name, const Example& example, bool with_key) {
  const std::string model = Json(name).dump(-1, ' ', false, Json::error_handler_t::replace);
  const std::string body = quoted_for_shell("{\"model\": " + model + ", " + example.fields + "}");
  std::printf("Serving %s at %s\n", name.c_str(), address.c_str());
  std::printf("Try:  curl %s/v1/%s -H 'Content-Type: application/json'%s -d %s\n", address.c_str(), example.endpoint,
              with_key ? " -H 'Authorization: Bearer YOUR_KEY'" : "", body.c_str());
  std::fflush(stdout);
}

Json tokenizer_info(const loader::LoadedModel& model) {
  Json info = model.text.special_tokens;
  info["model_max_length"] = model.max_length;
  if (!model.text.chat_template.empty()) info["chat_template"] = model.text.chat_template;
  return info;
}

Result<server::RequestDefaults> request_defaults(const ServeOptions& options, const loader::LoadedModel& model) {
  server::RequestDefaults defaults;
  if (options.generation_config == "none") return defaults;
  TENON_ASSIGN(defaults, server::defaults_of(model.text.generation_config));
  if (const Json changed = server::shown(defaults); !changed.empty()) {
    TENON_LOG_INFO(
        "requests default to the model's generation_config.json: {} (--generation-config none: OpenAI's own)",
        changed.dump());
  }
  return defaults;
}

// What the user says, else the architecture, else the markers in the chat template's source.
Result<chat::ReplyFormat> reply_format(const ServeOptions& options, const Assembly& assembly) {
  const loader::LoadedModel& model = assembly.model;
  chat::ReplyFormat found = chat::format_of_template(model.text.chat_template);
  const bool shown = assembly.chat_template == nullptr || chat::shows_tools(*assembly.chat_template);
  if (!shown) found.tools.clear();
  const auto choose = [](const std::string& option, const std::string& declared, const std::string& of_template) {
    if (option == "none") return std::string();
    if (option != "auto") return option;
    return declared.empty() ? of_template : declared;
  };
  chat::ReplyFormat format{.tools = choose(options.tool_call_parser, model.tool_parser, found.tools),
                           .reasoning = choose(options.reasoning_parser, model.reasoning_parser, found.reasoning)};
  format.calls_in_content = format.tools == "hermes" && !model.text.chat_template.contains("tool_calls");
  if (!format.tools.empty() && !chat::is_tool_format(format.tools)) {
    return invalid("there is no tool call parser '" + format.tools +
                   "'; there are hermes, llama3_json, mistral, gemma and harmony");
  }
  if (!shown && !format.tools.empty()) {
    TENON_LOG_WARN(
        "the chat template does not show the 'tools' of a request to the model: it calls them only where it is "
        "forced to, or told of them in a message");
  }
  if (!format.reasoning.empty() && !chat::is_reasoning_format(format.reasoning)) {
    return invalid("there is no reasoning parser '" + format.reasoning + "'; there are qwen3 and harmony");
  }
  return format;
}

// An empty key, as of a variable that was never filled, would leave the server open or closed to everybody.
Status check_keys(const std::vector<std::string>& keys) {
  const char* variable = std::getenv("TENON_API_KEY");
  const bool empty = keys.empty() ? variable != nullptr : std::ranges::any_of(keys, &std::string::empty);
  if (!empty) return {};
  return invalid("the API key (--api-key or TENON_API_KEY) is empty: give one, or leave both out to need none");
}

Status serve(const ServeOptions& options) {
  TENON_TRY(check_keys(options.api_keys));
  TENON_ASSIGN(const auto server, server::Server::create(options.server));
  TENON_ASSIGN(Assembly assembly, assemble_any(options.model));
  const std::string name = options.served_model_name.empty() ? assembly.model.name : options.served_model_name;
  const std::string address = "http://" + server::host_and_port(options.server.host, server->port());
  const Example example = example_of(assembly);
  TENON_ASSIGN(auto defaults, request_defaults(options, assembly.model));
  defaults.allow_unknown_fields = options.allow_unknown_fields;
  defaults.template_reads_effort = assembly.model.text.chat_template.contains("reasoning_effort");
  defaults.template_reads_documents = assembly.model.text.chat_template.contains("documents");
  TENON_ASSIGN(const auto format, reply_format(options, assembly));
  return server->run({.generator = assembly.generator, .embedder = assembly.embedder},
                     {.model_name = name,
                      .max_length = assembly.model.max_length,
                      .api_keys = options.api_keys,
                      .allowed_origins = options.allowed_origins,
                      .defaults = defaults,
                      .format = format,
                      .tokenizer_info = tokenizer_info(assembly.model),
                      .version = TENON_VERSION,
                      .metrics_prefix = options.metrics_prefix},
                     true, [&] { print_address(address, name, example, !options.api_keys.empty()); });
}

}  // namespace

void add_serve(CLI::App& app, Status& result) {
  auto options = std::make_shared<ServeOptions>();
  CLI::App* command = app.add_subcommand("serve", "Serve a model behind an OpenAI-compatible API");
  options->model.extra_logits = 32;
  add_model_options(*command, options->model);
  add_task(*command, options->model);
  add_matryoshka(*command, options->model);
  command->add_option("--host", options->server.host, "Address to listen on")
      ->check(not_empty())
      ->capture_default_str();
  command->add_option("--port", options->server.port, "Port; 0: any free one")
      ->check(whole_number(0, 65535))
      ->capture_default_str();
  command->add_option("--served-model-name", options->served_model_name, "Name of the model in the API");
  command->add_option("--api-key", options->api_keys, "Key that requests must send; may be repeated")
      ->allow_extra_args(false)
      ->envname("TENON_API_KEY");
  command
      ->add_option("--allowed-origins", options->allowed_origins,
                   "An origin of browsers that may call the API (CORS), '*' for any; may be repeated")
      ->allow_extra_args(false);
  command
      ->add_option("--max-queue-size", options->model.max_queue_size,
                   "Waiting requests, or texts of an embedding model, beyond which more are refused (429)")
      ->check(whole_number(1));
  command
      ->add_option("--shutdown-timeout", options->server.shutdown_seconds,
                   "Seconds that running replies may take to finish after SIGTERM; default: as long as they need")
      ->check(whole_number(0));
  command
      ->add_option("--generation-config", options->generation_config,
                   "auto: requests default to the model's generation_config.json; none: to OpenAI's defaults")
      ->check(one_of({"auto", "none"}))
      ->capture_default_str();
  command
      ->add_option("--tool-call-parser", options->tool_call_parser,
                   "How the model writes tool calls: auto, none, hermes, llama3_json, mistral, gemma, harmony")
      ->check(one_of({"auto", "none", "hermes", "llama3_json", "mistral", "gemma", "harmony"}))
      ->capture_default_str();
  command
      ->add_option("--reasoning-parser", options->reasoning_parser,
                   "How the model marks its reasoning: auto, none, qwen3, harmony")
      ->check(one_of({"auto", "none", "qwen3", "harmony"}))
      ->capture_default_str();
  command->add_flag(
      "--allow-unknown-fields", options->allow_unknown_fields,
      "Requests may have fields that Tenon does not know; they are ignored. Else they are refused by name");
  command
      ->add_option("--metrics-prefix", options->metrics_prefix,
                   "Of the names in /metrics; vllm: those of its dashboards")
      ->check(one_of({"tenon", "vllm"}))
      ->capture_default_str();
  command->callback([options, &result] { result = serve(*options); });
}

}  // namespace tenon::cli
