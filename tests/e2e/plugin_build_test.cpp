// How a plug-in is built: what is no source, CMake projects, whose files they may be, and how long an edit takes.
#include <gmock/gmock.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <thread>

#include "base/file.h"
#include "plugin_test.h"

namespace tenon::e2e {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
namespace fs = std::filesystem;

class PluginBuild : public PluginTest {
 protected:
  // A plug-in as a CMake project; `rest` follows find_package.
  fs::path cmake_project(const std::string& name, const std::string& rest) {
    const fs::path path = plugin(name, name + "ForCausalLM");
    write_cmake(path, name, rest);
    return path;
  }
  static void write_cmake(const fs::path& path, const std::string& name, const std::string& rest) {
    write(path / "CMakeLists.txt", "cmake_minimum_required(VERSION 3.25)\nproject(" + name +
                                       " LANGUAGES CXX)\nfind_package(tenon REQUIRED)\n" + rest + "\n");
  }
  // As if what the cache has under these names was last used long ago; false if it has nothing.
  static bool age(const std::string& begin) {
    bool any = false;
    for (const fs::directory_entry& entry :
         fs::directory_iterator(fs::path(getenv("XDG_CACHE_HOME")) / "tenon/plugins")) {
      if (!entry.path().filename().string().starts_with(begin)) continue;
      fs::last_write_time(entry.path(), fs::file_time_type::clock::now() - std::chrono::hours(24 * 100));
      any = true;
    }
    return any;
  }
  static void everybody_may_write(const fs::path& path) {
    fs::permissions(path, fs::perms::all, fs::perm_options::replace);
  }
};

TEST_F(PluginBuild, ABinaryInPlaceOfASource) {
  const fs::path path = plugin("binary", "Binary");
  fs::copy_file("/bin/sh", path / "model.cpp");
  const std::string said = refusal({path});
  EXPECT_THAT(said, AllOf(HasSubstr("binary"), HasSubstr("model.cpp is not C++: it has bytes that are no text")));
  EXPECT_EQ(std::ranges::count(said, '\n'), 1);
}

TEST_F(PluginBuild, OfACompilersOutputAsMuchAsAnybodyReads) {
  const fs::path path = plugin("verbose", "Verbose");
  std::string errors;
  for (int i = 0; i < 30; ++i) errors += "#error " + std::string(8000, 'x') + "\n";
  write(path / "model.cpp", errors);
  const std::string said = refusal({path});
  EXPECT_THAT(said, AllOf(HasSubstr("model.cpp:1:"), HasSubstr("more bytes of output are left out"),
                          Not(HasSubstr("model.cpp:21:"))));
  EXPECT_LT(said.size(), 70'000u);
}

TEST_F(PluginBuild, InAFolderOfAnyName) {
  const fs::path above = folder("a #1 of $HOME");
  fs::rename(plugin("named", "Named"), above / "named");
  write(above / "named" / "named.h", "// nothing\n");
  write(above / "named" / "model.cpp", "#include \"named.h\"\n");
  const Finished listed = list({above / "named"});
  EXPECT_EQ(listed.status, 0) << listed.err;
  EXPECT_THAT(listed.out, HasSubstr("Named"));
}

TEST_F(PluginBuild, WhatIsBrokenInTheCacheIsMadeAgain) {
  const fs::path path = plugin("healed", "Healed");
  const fs::path cache = fs::path(getenv("XDG_CACHE_HOME")) / "tenon/plugins";
  ASSERT_EQ(list({path}).status, 0);
  for (const fs::directory_entry& entry : fs::directory_iterator(cache)) {
    if (entry.path().filename().string().starts_with("healed-")) fs::resize_file(entry.path(), 0);
  }
  EXPECT_THAT(refusal({path}), HasSubstr("the file is empty"));
  EXPECT_EQ(list({path}).status, 0);
}

// As where a folder is compiled on one machine, and served from its cache on one without a compiler.
TEST_F(PluginBuild, WithoutACompilerWhatWasCompiledBefore) {
  const fs::path path = plugin("compiled", "Compiled"), nothing = folder("empty_path");
  const std::string search = getenv("PATH");
  const auto without_compiler = [&] {
    setenv("PATH", nothing.c_str(), 1);
    const Finished end = list({path});
    setenv("PATH", search.c_str(), 1);
    return end;
  };
  const auto none = HasSubstr("there is no C++ compiler: install g++, or name one in CXX");
  EXPECT_THAT(without_compiler().err, none);
  ASSERT_EQ(list({path}).status, 0);
  const Finished found = without_compiler();
  EXPECT_EQ(found.status, 0) << found.err;
  EXPECT_THAT(found.out, HasSubstr("Compiled"));
  EXPECT_THAT(found.err, HasSubstr("which was made of the same files before"));
  // However long ago that was: nothing else could make it again.
  age("compiled-");
  EXPECT_EQ(without_compiler().status, 0);
  // One that was chosen must be there.
  setenv("CXX", "no-such-compiler", 1);
  EXPECT_THAT(refusal({path}), HasSubstr("the C++ compiler that CXX names, no-such-compiler, does not run"));
  unsetenv("CXX");
  std::ofstream(path / "arch.cpp", std::ios::app) << "// edited\n";
  EXPECT_THAT(without_compiler().err, none);
}

// The same of a CMake project, which needs more than a compiler: here CMake itself, which finds those that PATH hides.
TEST_F(PluginBuild, ACMakeProjectThatWasBuiltBeforeNeedsNoTools) {
  const fs::path path = cmake_project("project", "tenon_architecture(project)"), nothing = folder("empty_path");
  write(path / "shape.h", "// nothing\n");
  const std::string search = getenv("PATH");
  const auto without_cmake = [&] {
    setenv("PATH", nothing.c_str(), 1);
    const Finished end = list({path});
    setenv("PATH", search.c_str(), 1);
    return end;
  };
  EXPECT_THAT(without_cmake().err, AllOf(HasSubstr(path.string()), HasSubstr("cannot run cmake: No such file")));
  ASSERT_EQ(list({path}).status, 0);
  const Finished found = without_cmake();
  EXPECT_EQ(found.status, 0) << found.err;
  EXPECT_THAT(found.out, HasSubstr("projectForCausalLM"));
  EXPECT_THAT(found.err, HasSubstr("there is no CMake: taking "));
  // With them, a project that fails is not served as it was.
  write(path / "CMakeLists.txt", "message(FATAL_ERROR broken)\n");
  EXPECT_THAT(refusal({path}), HasSubstr("cannot be built by CMake"));
  write_cmake(path, "project", "tenon_architecture(project)");
  EXPECT_EQ(without_cmake().status, 0);
  write(path / "shape.h", "// edited\n");
  EXPECT_THAT(without_cmake().err, HasSubstr("cannot run cmake"));
}

// As in a container whose files are read-only, with what was compiled when its image was made.
TEST_F(PluginBuild, AReadOnlyCacheIsReadAllTheSame) {
  const fs::path known = plugin("known", "Known"), edited = plugin("changed", "Changed"),
                 project = cmake_project("whole", "tenon_architecture(whole)");
  ASSERT_EQ(list({known, edited, project}).status, 0);
  std::ofstream(edited / "arch.cpp", std::ios::app) << "// edited\n";
  const fs::path said = folder("said") / "text";
  const pid_t child = fork();
  if (child == 0) {
    const char* cache = getenv("XDG_CACHE_HOME");
    const bool read_only = unshare(CLONE_NEWNS) == 0 &&
                           mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
                           mount(cache, cache, nullptr, MS_BIND, nullptr) == 0 &&
                           mount("none", cache, nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY, nullptr) == 0;
    if (!read_only) _exit(77);
    write(said, list({known, project}).out + list({edited}).err);
    _exit(0);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  if (WEXITSTATUS(status) == 77) GTEST_SKIP() << "skipped: no mount namespace here";
  EXPECT_THAT(read_file(said.string()).value_or(""),
              AllOf(HasSubstr("Known"), HasSubstr("wholeForCausalLM"), HasSubstr("Read-only file system")));
}

TEST_F(PluginBuild, WhatNobodyUsedForLongIsForgottenWhereItCanBeMadeAgain) {
  const fs::path old = plugin("forgotten", "Forgotten"), other = plugin("other", "Other");
  ASSERT_EQ(list({old}).status, 0);
  ASSERT_TRUE(age("forgotten-"));
  ASSERT_EQ(list({old}).status, 0);  // used again
  ASSERT_EQ(list({other}).status, 0);
  ASSERT_TRUE(age("forgotten-"));
  ASSERT_EQ(list({other}).status, 0);
  EXPECT_FALSE(age("forgotten-"));
}

TEST_F(PluginBuild, APipeInPlaceOfASource) {
  const fs::path path = plugin("piped", "Piped");
  ASSERT_EQ(mkfifo((path / "model.cpp").c_str(), 0600), 0);
  EXPECT_THAT(refusal({path}), HasSubstr("model.cpp: not a regular file"));
}

TEST_F(PluginBuild, ACompilerThatSaysNothing) {
  const fs::path path = plugin("silent", "Silent");
  setenv("CXX", "/bin/true", 1);
  const std::string said = refusal({path});
  unsetenv("CXX");
  EXPECT_THAT(said, AllOf(HasSubstr("silent does not compile"), HasSubstr("No such file or directory"),
                          HasSubstr("/bin/true")));
}

TEST_F(PluginBuild, ACMakeProjectThatMakesNoPluginOrTwo) {
  const fs::path path = cmake_project("made", "");
  const auto must_call = AllOf(HasSubstr(path.string()), HasSubstr("CMakeLists.txt"),
                               HasSubstr("must call tenon_architecture(NAME) once"));
  EXPECT_THAT(refusal({path}), must_call);
  write_cmake(path, "made", "tenon_architecture(made)");
  const Finished listed = list({path});
  EXPECT_EQ(listed.status, 0) << listed.err;
  EXPECT_THAT(listed.out, HasSubstr("madeForCausalLM"));
  // The library of before must not be counted, nor taken for what the project makes now.
  write_cmake(path, "made", "tenon_architecture(made)\nset_target_properties(made PROPERTIES OUTPUT_NAME other)");
  const Finished renamed = list({path});
  EXPECT_EQ(renamed.status, 0) << renamed.err;
  EXPECT_THAT(renamed.out, HasSubstr("madeForCausalLM"));
  write_cmake(path, "made", "");
  EXPECT_THAT(refusal({path}), must_call);
  write_cmake(path, "made", "tenon_architecture(made)\ntenon_architecture(twice)");
  EXPECT_THAT(refusal({path}), must_call);
}

// As on a machine that got no more than what Tenon's own build needs.
TEST_F(PluginBuild, ACMakeProjectNeedsNoMakeWhereThereIsNinja) {
  const std::string search = getenv("PATH");
  const fs::path tools = folder("tools");
  std::stringstream folders(search);
  for (std::string from; std::getline(folders, from, ':');) {
    std::error_code none;
    for (const fs::directory_entry& tool : fs::directory_iterator(from, none)) {
      const std::string name = tool.path().filename().string();
      if (name != "make" && name != "gmake") fs::create_symlink(tool.path(), tools / name, none);
    }
  }
  if (!fs::exists(tools / "ninja")) GTEST_SKIP() << "skipped: there is no ninja";
  const fs::path path = cmake_project("bare", "tenon_architecture(bare)");
  setenv("PATH", tools.c_str(), 1);
  const Finished listed = list({path});
  setenv("PATH", search.c_str(), 1);
  EXPECT_EQ(listed.status, 0) << listed.err;
  EXPECT_THAT(listed.out, HasSubstr("bareForCausalLM"));
}

TEST_F(PluginBuild, ACMakeProjectAndItsLibraryAgreeWithTheReference) {
  const fs::path path = folder("project"), library = folder("ready") / "glm4.so";
  for (const fs::directory_entry& entry : fs::directory_iterator(kExample / "glm4")) {
    if (entry.is_regular_file()) fs::copy(entry.path(), path);
  }
  write_cmake(path, "glm4", "tenon_architecture(glm4)");
  const fs::path tiny = kExample / "glm4" / "tiny";
  const auto verify = [&](const fs::path& form) {
    const Finished end =
        run({"verify", tiny.string(), "--reference", (tiny / "reference.safetensors").string(),
             "--quantization-encoding", "float32", "--threads", "1", "--custom-architectures", form.string()},
            kCompileSeconds);
    EXPECT_EQ(end.status, 0) << end.out << end.err;
    EXPECT_THAT(end.out, AllOf(HasSubstr("Glm4ForCausalLM"), HasSubstr("AGREES")));
  };
  verify(path);
  fs::path made;  // other tests may have made one of the same name before
  for (const fs::directory_entry& entry :
       fs::directory_iterator(fs::path(getenv("XDG_CACHE_HOME")) / "tenon/plugins")) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with("glm4-") || !name.ends_with(".so")) continue;
    if (made.empty() || entry.last_write_time() > fs::last_write_time(made)) made = entry.path();
  }
  fs::copy_file(made, library.string() + ".1");
  fs::create_symlink("glm4.so.1", library);  // as libraries are installed
  verify(library);
}

// Who runs it runs a copy, which nobody writes.
TEST_F(PluginBuild, ALibraryThatIsOverwrittenWhileItIsServed) {
  const fs::path library = folder("ready") / "served.so";
  ASSERT_EQ(list({plugin("served", "Served")}).status, 0);
  for (const fs::directory_entry& entry :
       fs::directory_iterator(fs::path(getenv("XDG_CACHE_HOME")) / "tenon/plugins")) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("served-") && name.ends_with(".so")) fs::copy_file(entry.path(), library);
  }
  TinyServer server(false, {"--custom-architectures", library.string()});
  fs::resize_file(library, 0);
  EXPECT_EQ(request(server.port(), "GET", "/health", "").status, 200);
  server.process().signal(SIGTERM);
  const Finished end = server.process().wait();  // which runs the plug-in's code, too
  EXPECT_EQ(end.status, 0) << end.err;
}

TEST_F(PluginBuild, WhatEverybodyMayReplace) {
  // The folder above, where the plug-in's own could be exchanged for another.
  const fs::path path = plugin("shared", "Shared"), above = folder("open");
  const fs::path inside = above / "shared";
  fs::copy(path, inside, fs::copy_options::recursive);
  everybody_may_write(above);
  EXPECT_THAT(refusal({inside}), AllOf(HasSubstr("/open is writable by everybody"), HasSubstr("chmod o-w")));
  // A file that lies there, behind a link.
  fs::create_symlink(inside / "arch.cpp", path / "model.cpp");
  EXPECT_THAT(refusal({path}), HasSubstr("/open is writable by everybody"));
  fs::remove(path / "model.cpp");
  fs::create_directory_symlink(inside, path / "more");
  EXPECT_THAT(refusal({path}), HasSubstr("/open is writable by everybody"));
  // A sticky folder lets nobody replace what is another's; and links may go in a circle.
  fs::permissions(above, fs::perms::sticky_bit, fs::perm_options::add);
  fs::create_directory_symlink(path, path / "circle");
  const Finished listed = list({path});
  EXPECT_EQ(listed.status, 0) << listed.err;
}

TEST_F(PluginBuild, ALibraryThatEverybodyMayWrite) {
  const fs::path library = folder("libraries") / "open.so";
  write(library, "not a library");
  everybody_may_write(library);
  EXPECT_THAT(refusal({library}), HasSubstr("open.so is writable by everybody"));
}

// CPU time of all that this process ran and waited for, with what that ran.
double cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_CHILDREN, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

// Twice as many processes want to run as there are cores: the clock then says how long those of others took.
bool busy() {
  double load = 0;
  return getloadavg(&load, 1) == 1 && load > 2.0 * std::thread::hardware_concurrency();
}

// From an edit to the first token within ten seconds. Each edit is tried twice, since other tests run beside this one.
// On a busy machine its CPU time counts, which is what one idle core would take, did nothing wait.
TEST_F(PluginBuild, AnEditIsServedWithinTenSeconds) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "a sanitized program says nothing of the time that the real one takes";
#endif
  const fs::path path = folder("glm4"), served = folder("served"), config = folder("config") / "config.json";
  fs::copy(kExample / "glm4", path, fs::copy_options::recursive | fs::copy_options::overwrite_existing);
  std::string text = read_file((path / "tiny" / "config.json").string()).value();
  // The example's checkpoint has no tokenizer: a random one has as many tokens as the tokenizer at hand.
  const std::string vocab = "\"vocab_size\": 96";
  ASSERT_NE(text.find(vocab), std::string::npos);
  write(config, text.replace(text.find(vocab), vocab.size(), "\"vocab_size\": 512"));
  const Finished made =
      run({"check", path.string(), "--config", config.string(), "--keep", served.string()}, kCompileSeconds);
  ASSERT_EQ(made.status, 0) << made.out << made.err;
  for (const char* name : {"tokenizer.json", "tokenizer_config.json"}) {
    fs::copy_file(model_dir() / name, served / name, fs::copy_options::overwrite_existing);
  }
  const auto seconds_to_first_token = [&] {
    const auto begin = std::chrono::steady_clock::now();
    const double cpu_before = cpu_seconds();
    const Finished end = run({"generate", served.string(), "--custom-architectures", path.string(), "--prompt",
                              "Once upon a time", "--max-tokens", "1"},
                             kCompileSeconds);
    EXPECT_EQ(end.status, 0) << end.out << end.err;
    EXPECT_THAT(end.err, HasSubstr("compiling")) << "the edit was not noticed";
    const double passed = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    const double cpu = cpu_seconds() - cpu_before;
    EXPECT_GT(cpu, 0.1) << "what computes is not counted";
    std::printf("%.1f s to the first token, %.1f s of CPU time%s\n", passed, cpu, busy() ? ", on a busy machine" : "");
    return busy() ? std::min(passed, cpu) : passed;
  };
  for (const char* file : {"model.cpp", "glm4.h"}) {
    double best = INFINITY;
    for (int attempt = 0; attempt < 2; ++attempt) {
      std::ofstream(path / file, std::ios::app) << "// edited\n";
      std::printf("an edit of %s: ", file);
      best = std::min(best, seconds_to_first_token());
    }
    EXPECT_LT(best, 10.0) << file;
  }
}

}  // namespace
}  // namespace tenon::e2e
