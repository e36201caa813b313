#include <CLI/CLI.hpp>
#include <cstdio>

#include "cli/cli.h"
#include "server/server.h"

namespace tenon::cli {
namespace {

struct ServeOptions {
  ModelOptions model;
  server::ServerOptions server;
  std::string served_model_name, api_key;
};

void print_address(const std::string& address, const std::string& name, bool chat) {
  std::printf("Serving %s at %s\n", name.c_str(), address.c_str());
  const std::string prompt = chat ? R"("messages": [{"role": "user", "content": "What is the capital of France?"}])"
                                  : R"("prompt": "Once upon a time")";
  std::printf("Try:  curl %s/v1/%s -H 'Content-Type: application/json' -d '{\"model\": \"%s\", %s}'\n", address.c_str(),
              chat ? "chat/completions" : "completions", name.c_str(), prompt.c_str());
  std::fflush(stdout);
}

Status serve(const ServeOptions& options) {
  TENON_ASSIGN(const auto server, server::Server::create(options.server));
  TENON_ASSIGN(Assembly assembly, assemble(options.model, true));
  const std::string name = options.served_model_name.empty() ? assembly.model.name : options.served_model_name;
  const std::string address = "http://" + options.server.host + ":" + std::to_string(server->port());
  const bool chat = assembly.generator->has_chat_template();
  return server->run(assembly.generator,
                     {.model_name = name, .max_length = assembly.model.max_length, .api_key = options.api_key}, true,
                     [&] { print_address(address, name, chat); });
}

}  // namespace

void add_serve(CLI::App& app, Status& result) {
  auto options = std::make_shared<ServeOptions>();
  CLI::App* command = app.add_subcommand("serve", "Serve a model behind an OpenAI-compatible API");
  options->model.extra_logits = 32;
  add_model_options(*command, options->model);
  command->add_option("--host", options->server.host, "Address to listen on")->capture_default_str();
  command->add_option("--port", options->server.port, "Port; 0: any free one")->capture_default_str();
  command->add_option("--served-model-name", options->served_model_name, "Name of the model in the API");
  command->add_option("--api-key", options->api_key, "Key that requests must send")->envname("TENON_API_KEY");
  command->callback([options, &result] { result = serve(*options); });
}

}  // namespace tenon::cli
