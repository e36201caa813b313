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

Status serve(const ServeOptions& options) {
  TENON_ASSIGN(Assembly assembly, assemble(options.model, true));
  const std::string name = options.served_model_name.empty() ? assembly.model.name : options.served_model_name;
  server::ApiOptions api{.model_name = name, .max_length = assembly.model.max_length, .api_key = options.api_key};
  TENON_ASSIGN(const auto server, server::Server::create(options.server, assembly.generator, api));
  const std::string address = "http://" + options.server.host + ":" + std::to_string(server->port());
  std::printf("Serving %s at %s\n", name.c_str(), address.c_str());
  if (assembly.generator->has_chat_template()) {
    std::printf(
        "Try:  curl %s/v1/chat/completions -H 'Content-Type: application/json' "
        "-d '{\"model\": \"%s\", \"messages\": [{\"role\": \"user\", \"content\": \"What is the capital of "
        "France?\"}]}'\n",
        address.c_str(), name.c_str());
  } else {
    std::printf(
        "Try:  curl %s/v1/completions -H 'Content-Type: application/json' "
        "-d '{\"model\": \"%s\", \"prompt\": \"Once upon a time\"}'\n",
        address.c_str(), name.c_str());
  }
  std::fflush(stdout);
  server->run(true);
  return {};
}

}  // namespace

void add_serve(CLI::App& app, Status& result) {
  auto options = std::make_shared<ServeOptions>();
  CLI::App* command = app.add_subcommand("serve", "Serve a model behind an OpenAI-compatible API");
  add_model_options(*command, options->model);
  command->add_option("--host", options->server.host, "Address to listen on")->capture_default_str();
  command->add_option("--port", options->server.port, "Port; 0: any free one")->capture_default_str();
  command->add_option("--served-model-name", options->served_model_name, "Name of the model in the API");
  command->add_option("--api-key", options->api_key, "Key that requests must send")->envname("TENON_API_KEY");
  command->callback([options, &result] { result = serve(*options); });
}

}  // namespace tenon::cli
