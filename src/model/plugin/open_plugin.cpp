#include "model/plugin/open_plugin.h"

#include <cxxabi.h>
#include <dlfcn.h>

#include <algorithm>
#include <cstdlib>
#include <exception>
#include <string_view>

#include "base/file.h"
#include "model/plugin/abi.h"
#include "model/plugin/trial.h"

namespace tenon::model {
namespace {

// What loading it says; its initialisers and architecture() are the plug-in's own code.
std::string tried(const std::string& library) {
  try {
    const auto opened = open_plugin(library);
    return opened ? "+" : "-" + opened.error().message;
  } catch (const std::exception& exception) {
    return "-plug-in " + library + " threw an exception while it was loaded: " + exception.what();
  } catch (...) {
    return "-plug-in " + library + " threw an exception while it was loaded";
  }
}

// The dynamic linker's words, with the name of a missing function as C++ spells it.
std::string explained(std::string message) {
  constexpr std::string_view kUndefined = "undefined symbol: ";
  const auto at = message.find(kUndefined);
  if (at == std::string::npos) return message;
  const std::string symbol = message.substr(at + kUndefined.size());
  int status = 0;
  char* name = abi::__cxa_demangle(symbol.c_str(), nullptr, nullptr, &status);
  if (status == 0) message = "it uses " + std::string(name) + ", which neither it nor Tenon defines";
  std::free(name);
  return message;
}

Status check_complete(const OpenedPlugin& plugin, const std::string& library) {
  if (plugin.architecture == nullptr) return invalid("plug-in " + library + " has no architecture");
  const Architecture& a = *plugin.architecture;
  const char* missing = a.name.empty()              ? "name"
                        : a.parse_config == nullptr ? "parse_config"
                        : a.make_model == nullptr   ? "make_model"
                        : a.adapters.empty()        ? "adapters"
                        : a.encodings.empty()       ? "encodings"
                                                    : nullptr;
  if (missing != nullptr) return invalid("the architecture of plug-in " + library + " does not say its ." + missing);
  if (std::ranges::count(a.encodings, a.default_encoding) != 0) return {};
  return invalid("the architecture of plug-in " + library + " has the .default_encoding " + name(a.default_encoding) +
                 ", which is none of its .encodings");
}

}  // namespace

Status check_abi(const std::string& library) {
  auto file = MappedFile::open(library);
  if (!file) return std::unexpected(std::move(file).error());
  const auto bytes = (*file)->bytes();
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  const auto at = text.find(TENON_PLUGIN_ABI_MARK);
  if (!text.starts_with("\x7f"
                        "ELF") ||
      at == std::string_view::npos) {
    return invalid(library + " is not a plug-in of Tenon: it does not export an architecture (model/plugin/export.h)");
  }
  const std::string_view theirs = text.substr(at, text.find('\0', at) - at), ours = TENON_PLUGIN_ABI;
  if (theirs == ours) return {};
  constexpr std::size_t kMark = sizeof(TENON_PLUGIN_ABI_MARK) - 1;
  return invalid("plug-in " + library + " was built for another Tenon (" + std::string(theirs.substr(kMark)) +
                 ") than this one (" + std::string(ours.substr(kMark)) + "): build it again");
}

Result<OpenedPlugin> open_plugin(const std::string& library) {
  // Its declaration promises that nothing is thrown, but initialisers may: the compiler must not rely on it.
  void* (*volatile const load)(const char*, int) = ::dlopen;
  void* handle = load(library.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) return invalid("plug-in " + library + " cannot be loaded: " + explained(::dlerror()));
  const auto* family = static_cast<const char*>(::dlsym(handle, "tenon_plugin_family"));
  using Function = const Architecture* (*)();
  const auto function = reinterpret_cast<Function>(::dlsym(handle, "tenon_plugin_architecture"));
  if (family == nullptr || function == nullptr) {
    return invalid("plug-in " + library + " does not export an architecture (model/plugin/export.h)");
  }
  const OpenedPlugin plugin{family, function()};
  TENON_TRY(check_complete(plugin, library));
  return plugin;
}

Status probe_plugin(const std::string& library) {
  const auto answer = try_in_child([&] { return tried(library); }, {.who = "plug-in " + library,
                                                                    .work = "loading",
                                                                    .where = "its initialisers or in architecture()",
                                                                    .during = "while it was loaded"});
  if (!answer) return std::unexpected(answer.error());
  return *answer == "+" ? Status() : invalid(answer->substr(1));
}

}  // namespace tenon::model
