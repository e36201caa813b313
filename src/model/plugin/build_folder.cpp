#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <optional>
#include <sstream>
#include <thread>
#include <vector>

#include "base/file.h"
#include "base/log.h"
#include "base/sha256.h"
#include "base/subprocess.h"
#include "model/plugin/build.h"

namespace tenon::model {
namespace {

namespace fs = std::filesystem;
using Words = std::vector<std::string>;

constexpr std::chrono::seconds kCompileLimit{600};
constexpr std::size_t kMostQuoted = std::size_t{64} << 10;  ///< bytes of a compiler's output in a message

Words split(const std::string& text) {
  std::istringstream in(text);
  Words words;
  for (std::string word; in >> word;) words.push_back(word);
  return words;
}

// What a tool wrote, as far as anybody reads it: whole lines of its beginning.
std::string quoted(std::string output) {
  if (output.size() <= kMostQuoted) return output;
  const auto newline = output.rfind('\n', kMostQuoted - 1);
  const std::size_t kept = newline == std::string::npos ? kMostQuoted : newline + 1;
  const std::string left_out = std::to_string(output.size() - kept);
  output.resize(kept);
  if (newline == std::string::npos) output += '\n';
  return output + "… (" + left_out + " more bytes of output are left out)\n";
}

struct Compiler {
  Words words;          ///< $CXX, which may have arguments
  std::string version;  ///< what --version prints
  const char* error_limit() const {
    return version.find("clang") != std::string::npos ? "-ferror-limit=20" : "-fmax-errors=20";
  }
};

Result<Compiler> find_compiler() {
  const char* chosen = std::getenv("CXX");
  std::vector<Words> candidates = {{"g++"}, {"c++"}};
  if (chosen != nullptr && !split(chosen).empty()) candidates = {split(chosen)};
  for (Words& words : candidates) {
    Words question = words;
    question.emplace_back("--version");
    const auto answer = run_command(question, std::chrono::seconds(30));
    if (answer && answer->ok()) return Compiler{std::move(words), answer->output};
  }
  return fail(ErrorCode::kNotFound, chosen != nullptr && *chosen != '\0'
                                        ? "the C++ compiler that CXX names, " + std::string(chosen) + ", does not run"
                                        : "there is no C++ compiler: install g++, or name one in CXX");
}

// One source file on its way to an object in the cache.
struct Unit {
  fs::path source, object;
  Status status;
};

// The files of a make rule ("x.o: a.cpp \\\n a.h"), in whose names blanks, '#' and '$' are escaped.
std::vector<fs::path> prerequisites(const std::string& rule) {
  std::vector<fs::path> files;
  std::string name;
  const auto begin = rule.find(": ");
  for (std::size_t i = begin == std::string::npos ? rule.size() : begin + 1; i <= rule.size(); ++i) {
    const char c = i < rule.size() ? rule[i] : '\n';
    const char next = i + 1 < rule.size() ? rule[i + 1] : '\n';
    if ((c == '\\' && (next == ' ' || next == '\t' || next == '#')) || (c == '$' && next == '$')) {
      name += rule[++i];
    } else if (c == ' ' || c == '\n') {
      if (!name.empty() && name != "\\") files.emplace_back(name);
      name.clear();
    } else {
      name += c;
    }
  }
  return files;
}

// What is wrong is what the compiler wrote. `headers` are those whose contents are in the object's name.
Status compile(const Compiler& compiler, const Words& flags, const std::vector<fs::path>& headers, Unit& unit) {
  const fs::path temporary = unit.object.string() + "." + std::to_string(::getpid());
  const fs::path rule = temporary.string() + ".d";
  Words words = compiler.words;
  words.insert(words.end(), flags.begin(), flags.end());
  words.insert(words.end(), {"-MMD", "-MF", rule.string(), "-c", unit.source.string(), "-o", temporary.string()});
  TENON_ASSIGN(const Finished finished, run_command(words, kCompileLimit));
  std::error_code ignored;
  const std::string read = read_file(rule.string()).value_or("");
  fs::remove(rule, ignored);
  if (!finished.ok()) {
    fs::remove(temporary, ignored);
    if (finished.timed_out) return invalid(unit.source.string() + " did not compile within ten minutes\n");
    return invalid(!finished.output.empty() ? finished.output
                                            : unit.source.string() + ": the compiler failed without a word\n");
  }
  if (!finished.output.empty()) TENON_LOG_WARN("{}", quoted(finished.output));
  // An object made with a file that its name says nothing of would be found again after that file changed.
  for (const fs::path& file : prerequisites(read)) {
    if (file == unit.source || std::ranges::count(headers, file) != 0) continue;
    fs::remove(temporary, ignored);
    return invalid(unit.source.string() + " includes " + file.string() +
                   ": an architecture includes headers of its own folder (.h, .hpp, .inc, .def) and of the SDK only\n");
  }
  if (auto published = publish(temporary, unit.object); !published) {
    return invalid(published.error().message + "; what " + compiler.words[0] + " made of " + unit.source.string() +
                   " should be there\n");
  }
  return {};
}

Result<std::vector<fs::path>> files_of(const fs::path& folder, const std::vector<std::string>& extensions) {
  std::vector<fs::path> files;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, error)) {
    const fs::path& path = entry.path();
    if (std::ranges::count(extensions, path.extension().string()) == 0) continue;
    if (!path.stem().string().ends_with("_test")) files.push_back(path);
  }
  if (error) return fail(ErrorCode::kPermissionDenied, "cannot read " + folder.string() + ": " + error.message());
  std::ranges::sort(files);
  return files;
}

// The first folder in `folder` that is one of an architecture; "" if there is none.
std::string folder_within(const fs::path& folder) {
  std::string first;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, error)) {
    const std::string path = entry.path().string();
    if (fs::exists(entry.path() / "arch.cpp", error) && (first.empty() || path < first)) first = path;
  }
  return first;
}

// A compiler answers a binary by a line for each of its bytes.
Result<std::string> read_source(const fs::path& folder, const fs::path& file) {
  TENON_ASSIGN(std::string text, read_file(file.string(), 64 << 20));
  if (text.find('\0') == std::string::npos) return text;
  return invalid("custom architecture " + folder.string() + ": " + file.filename().string() +
                 " is not C++: it has bytes that are no text");
}

bool is_identifier(const std::string& name) {
  return !name.empty() && name[0] >= 'a' && name[0] <= 'z' &&
         std::ranges::all_of(name, [](char c) { return c == '_' || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); });
}

// The unit that Tenon adds: what makes a plug-in of the folder.
std::string export_text(const std::string& family) {
  return "#include \"model/plugin/export.h\"\nTENON_EXPORT_ARCHITECTURE(" + family + ");\n";
}

Status write_export(const fs::path& path, const std::string& family) {
  const fs::path temporary = path.string() + "." + std::to_string(::getpid());
  const bool written =
      (std::ofstream(temporary) << export_text(family)).flush() && std::rename(temporary.c_str(), path.c_str()) == 0;
  if (written) return {};
  return fail(ErrorCode::kInternal, "cannot write " + path.string() + ": " + std::strerror(errno));
}

// The newest library in the cache whose name has `mark`, that of what it is made of, for when nothing can be made:
// `reason`. What it is fit for it says itself: see check_abi().
std::optional<std::string> find_made_before(const fs::path& cache, const std::string& mark, const char* reason) {
  std::error_code error;
  fs::path newest;
  for (const fs::directory_entry& entry : fs::directory_iterator(cache, error)) {
    const std::string name = entry.path().filename().string();
    if (name.find(mark) == std::string::npos || !name.ends_with(".so")) continue;
    if (newest.empty() || entry.last_write_time(error) > fs::last_write_time(newest, error)) newest = entry.path();
  }
  if (newest.empty() || !find_library(newest)) return std::nullopt;
  TENON_LOG_INFO("{}: taking {}, which was made of the same files before", reason, newest.string());
  return newest.string();
}

// A compiler that was chosen must be there: what another one made is then not what was asked for.
bool chose_compiler() {
  const char* chosen = std::getenv("CXX");
  return chosen != nullptr && *chosen != '\0';
}

constexpr const char* kNoCompiler = "there is no C++ compiler";

void compile_all(const Compiler& compiler, const Words& flags, const std::vector<fs::path>& headers,
                 std::vector<Unit*>& units) {
  std::atomic<std::size_t> next{0};
  std::vector<std::jthread> workers;
  const std::size_t count = std::clamp<std::size_t>(std::thread::hardware_concurrency(), 1, units.size());
  for (std::size_t i = 0; i < count; ++i) {
    workers.emplace_back([&] {
      for (std::size_t n = next++; n < units.size(); n = next++) {
        units[n]->status = compile(compiler, flags, headers, *units[n]);
      }
    });
  }
}

}  // namespace

Result<std::string> build_folder(const fs::path& folder, const SdkLocation& sdk) {
  const std::string family = folder.filename().string();
  TENON_ASSIGN(std::vector<fs::path> sources, files_of(folder, {".cpp"}));
  if (sources.empty()) {
    const std::string inner = folder_within(folder);
    return invalid("custom architecture " + folder.string() + " has no .cpp files: " +
                   (!inner.empty() ? "did you mean " + inner + "?"
                                   : "it must be a folder with NAME.h, arch.cpp, model.cpp, model_config.cpp and "
                                     "weight_adapters.cpp, a folder with a CMakeLists.txt, or a .so"));
  }
  if (!is_identifier(family)) {
    return invalid("custom architecture " + folder.string() +
                   ": the folder's name is that of the C++ namespace and must be like my_model");
  }
  TENON_ASSIGN(const fs::path cache, plugin_cache());
  TENON_ASSIGN(const BuildLock lock, BuildLock::take(cache, folder));
  const fs::path export_source = cache / ("export_" + family + ".cpp");

  // Hidden, so that a folder of the same name as a built-in one does not share its symbols.
  Words flags = {"-std=c++23", "-O1",      "-fPIC", "-fvisibility=hidden", "-Wall", "-fdiagnostics-color=never",
                 "-isystem",   sdk.include};
  TENON_ASSIGN(std::string common, read_file(sdk.include + "/tenon_sdk.h"));
  for (const std::string& word : flags) common += word + '\n';
  TENON_ASSIGN(const auto headers, files_of(folder, {".h", ".hpp", ".inc", ".def"}));
  for (const fs::path& header : headers) {
    TENON_ASSIGN(const std::string text, read_source(folder, header));
    common += header.string() + '\n' + sha256(text);
  }
  std::vector<std::string> contents;  // of each source: what its object is made of, but for the compiler
  std::string all;
  const auto add = [&](const fs::path& source, const std::string& text) {
    contents.push_back(sha256(common + source.string() + '\n' + text));
    all += contents.back();
  };
  for (const fs::path& source : sources) {
    TENON_ASSIGN(const std::string text, read_source(folder, source));
    add(source, text);
  }
  sources.push_back(export_source);
  add(export_source, export_text(family));
  // NAME-FILES-COMPILER.so
  const std::string stem = family + "-" + sha256(all) + "-";
  const auto found = find_compiler();
  if (!found) {
    const auto before = chose_compiler() ? std::nullopt : find_made_before(cache, stem, kNoCompiler);
    return before ? Result<std::string>(*before) : std::unexpected(found.error());
  }
  const Compiler& compiler = *found;
  std::string made_by = compiler.version;
  for (const std::string& word : compiler.words) made_by += word + '\n';
  const fs::path library = cache / (stem + sha256(made_by).substr(0, 16) + ".so");
  const bool known = find_library(library);
  prune_cache(cache);
  if (known) return library.string();

  TENON_TRY(write_export(export_source, family));
  flags.emplace_back(compiler.error_limit());
  std::vector<Unit> units;
  for (std::size_t i = 0; i < sources.size(); ++i) {
    units.push_back({sources[i], cache / (sha256(made_by + contents[i]) + ".o"), {}});
  }
  std::error_code ignored;
  std::vector<Unit*> missing;
  for (Unit& unit : units) {
    if (!fs::exists(unit.object, ignored)) missing.push_back(&unit);
  }
  TENON_LOG_INFO("compiling {} of {} files of {}", missing.size(), units.size(), folder.string());
  if (!missing.empty()) compile_all(compiler, flags, headers, missing);
  std::string errors;
  for (const Unit& unit : units) {
    if (!unit.status) errors += unit.status.error().message;
  }
  if (!errors.empty()) {
    return invalid("custom architecture " + folder.string() + " does not compile:\n" + quoted(std::move(errors)));
  }

  const fs::path temporary = library.string() + "." + std::to_string(::getpid());
  Words words = compiler.words;
  words.insert(words.end(), {"-shared", "-o", temporary.string()});
  for (const Unit& unit : units) words.push_back(unit.object.string());
  TENON_ASSIGN(const Finished finished, run_command(words, kCompileLimit));
  if (!finished.ok()) {
    // Should an object of the cache be at fault, the next try compiles it again.
    for (const Unit& unit : units) fs::remove(unit.object, ignored);
    return invalid("custom architecture " + folder.string() + " cannot be linked:\n" + quoted(finished.output));
  }
  TENON_TRY(publish(temporary, library));
  return library.string();
}

namespace {

// CMake writes Makefiles unless told otherwise, also where there is no make: Tenon itself is built with Ninja.
Words generator() {
  const auto runs = [](const char* tool) {
    const auto answer = run_command({tool, "--version"}, std::chrono::seconds(30));
    return answer && answer->ok();
  };
  if (std::getenv("CMAKE_GENERATOR") != nullptr || runs("make") || !runs("ninja")) return {};
  return {"-G", "Ninja"};
}

// Of all that a CMake project may read what is seen from here: the files of its folder, but for hidden ones, and the
// SDK. A file that is too large for a source counts by its size: checkpoints may lie beside them.
Result<std::string> mark_of(const fs::path& folder, const SdkLocation& sdk) {
  constexpr std::uintmax_t kLargestSource = 1 << 20;
  std::vector<fs::path> files;
  std::error_code error;
  for (auto it = fs::recursive_directory_iterator(folder, error); it != fs::recursive_directory_iterator();
       it.increment(error)) {
    if (error) break;
    const bool hidden = it->path().filename().string().starts_with('.');
    if (hidden && it->is_directory(error)) it.disable_recursion_pending();
    if (!hidden && it->is_regular_file(error)) files.push_back(it->path());
  }
  std::ranges::sort(files);
  TENON_ASSIGN(std::string all, read_file(sdk.include + "/tenon_sdk.h"));
  for (const fs::path& file : files) {
    const std::uintmax_t size = fs::file_size(file, error);
    all += file.string() + '\n' + std::to_string(size) + '\n';
    if (size <= kLargestSource)
      all += sha256(read_file(file.string()).value_or(""));  // else CMake cannot read it either
  }
  return "-" + sha256(all) + "-";
}

// Why no project can be built, whatever it is; null where one can.
const char* why_nothing_is_built(const fs::path& cache) {
  if (::access(cache.c_str(), W_OK) != 0 && errno == EROFS) return "the cache is read-only";
  if (const auto cmake = run_command({"cmake", "--version"}, std::chrono::seconds(30)); !cmake || !cmake->ok()) {
    return "there is no CMake";
  }
  return !chose_compiler() && !find_compiler() ? kNoCompiler : nullptr;
}

// → the library, in `build`.
Result<fs::path> run_cmake(const fs::path& folder, const SdkLocation& sdk, const fs::path& build) {
  const fs::path output = build / "plugin";
  // What an earlier build left there, perhaps under another name, is not what the folder is now.
  std::error_code error;
  fs::remove_all(output, error);
  if (!error) fs::create_directories(output, error);
  if (error) return fail(ErrorCode::kInternal, "cannot empty " + output.string() + ": " + error.message());
  Words configure = {"cmake",
                     "-S",
                     folder.string(),
                     "-B",
                     build.string(),
                     "-Dtenon_DIR=" + sdk.cmake,
                     "-DCMAKE_BUILD_TYPE=Release",
                     "-DTENON_PLUGIN_OUTPUT=" + output.string()};
  std::ranges::copy(generator(), std::back_inserter(configure));
  for (const Words& words : {configure, Words{"cmake", "--build", build.string(), "--parallel"}}) {
    const auto finished = run_command(words, kCompileLimit);
    if (!finished) {
      return wrap(finished.error(), "custom architecture " + folder.string() + " has a CMakeLists.txt");
    }
    if (!finished->ok()) {
      // It remembers its generator and compiler, which may be what was at fault.
      fs::remove(build / "CMakeCache.txt", error);
      return invalid("custom architecture " + folder.string() + " cannot be built by CMake:\n" +
                     quoted(finished->output));
    }
  }
  TENON_ASSIGN(const auto libraries, files_of(output, {".so"}));
  if (libraries.size() == 1) return libraries.front();
  return invalid("the CMakeLists.txt of custom architecture " + folder.string() +
                 " must call tenon_architecture(NAME) once");
}

}  // namespace

Result<std::string> build_cmake_project(const fs::path& folder, const SdkLocation& sdk) {
  TENON_ASSIGN(const fs::path cache, plugin_cache());
  TENON_ASSIGN(const BuildLock lock, BuildLock::take(cache, folder));
  TENON_ASSIGN(const std::string mark, mark_of(folder, sdk));
  const auto built = run_cmake(folder, sdk, cache / ("cmake-" + sha256(folder.string() + sdk.include).substr(0, 32)));
  if (!built) {
    const char* reason = why_nothing_is_built(cache);
    const auto before = reason != nullptr ? find_made_before(cache, mark, reason) : std::nullopt;
    return before ? Result<std::string>(*before) : std::unexpected(built.error());
  }
  prune_cache(cache);
  // Kept under the name of its contents: the next process empties the folder while this one may be loading from it.
  return keep_library(cache, *built, built->stem().string() + mark);
}

}  // namespace tenon::model
