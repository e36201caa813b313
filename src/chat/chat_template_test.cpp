#include "chat/chat_template.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <thread>

namespace tenon::chat {
namespace {

namespace fs = std::filesystem;

std::int64_t local_time(int year, int month, int day) {
  std::tm parts = {};
  parts.tm_year = year - 1900, parts.tm_mon = month - 1, parts.tm_mday = day, parts.tm_hour = 12, parts.tm_isdst = -1;
  return std::mktime(&parts);
}

std::string render(const std::string& source, Json variables = Json::object()) {
  auto tmpl = ChatTemplate::create(source, {{"bos_token", "<s>"}});
  if (!tmpl) return "error: " + tmpl.error().message;
  auto text = (*tmpl)->render({.kwargs = std::move(variables)}, local_time(2025, 6, 15));
  return text ? *text : "error: " + text.error().message;
}

fs::path source_dir() {
  const char* dir = std::getenv("TENON_SOURCE_DIR");
  return dir ? dir : fs::path(TENON_SOURCE_DIR);
}

bool is_there(const fs::path& folder) { return fs::exists(folder / "chat_golden.json"); }

/// A folder a model's templates, each with a chat_golden.json: those beside this test, or else of the shared directory.
/// A known one is among them where it is in neither, so that its test shows as skipped.
std::vector<fs::path> golden_folders() {
  std::set<std::string> names = {"deepseek-v3", "gemma2",       "gemma3",     "gpt-oss", "granite-3.3",
                                 "llama3.2",    "mistral-nemo", "mistral-v3", "phi-3",   "phi-4",
                                 "qwen2.5",     "qwen3",        "smollm2",    "smolvlm"};
  const char* dir = std::getenv("TENON_SHARED_DIR");
  const fs::path beside = source_dir() / "src/chat/testdata";
  const fs::path shared = (dir ? fs::path(dir) : source_dir() / "../shared") / "tokenizers";
  for (const auto& root : {beside, shared}) {
    if (!fs::is_directory(root)) continue;
    for (const auto& entry : fs::directory_iterator(root)) {
      if (is_there(entry.path())) names.insert(entry.path().filename());
    }
  }
  std::vector<fs::path> folders;
  for (const auto& name : names) folders.push_back((is_there(beside / name) ? beside : shared) / name);
  return folders;
}

class ChatGoldenTest : public testing::TestWithParam<fs::path> {};

TEST_P(ChatGoldenTest, RendersAsTransformersDoes) {
  if (!is_there(GetParam())) GTEST_SKIP() << "skipped: " << GetParam() << " is not there";
  const Json golden = Json::parse(std::ifstream(GetParam() / "chat_golden.json"));
  int right = 0, quirks = 0, quirks_right = 0;
  for (const auto& item : golden["cases"]) {
    const std::string name = item["template"].get<std::string>() + "/" + item["name"].get<std::string>();
    std::stringstream source;
    source << std::ifstream(GetParam() / ("chat_template." + item["template"].get<std::string>() + ".jinja")).rdbuf();
    auto tmpl = ChatTemplate::create(source.str(), golden["special_tokens"]);
    ASSERT_TRUE(tmpl) << name << ": " << tmpl.error().message;
    const RenderInput input = {.messages = item["messages"],
                               .tools = item["tools"],
                               .add_generation_prompt = item["add_generation_prompt"],
                               .continue_final_message = item.value("continue_final_message", false),
                               .kwargs = item.value("kwargs", Json::object())};
    const auto rendered = (*tmpl)->render(input, local_time(2025, 6, 15));
    bool same = false;
    std::string got = rendered ? *rendered : "error: " + rendered.error().message;
    if (item.contains("rendered")) {
      same = rendered && *rendered == item["rendered"].get<std::string>();
    } else if (item["error_kind"] == "TemplateError") {
      same = !rendered && rendered.error().message == item["error"].get<std::string>() &&
             rendered.error().code == ErrorCode::kInvalidArgument;
    } else {
      // Python's own complaint about a wrong type: its words are not ours, but there must be one. (A loop over None,
      // which is what a content of null is to some templates, is one that ends at once.)
      same = !rendered || item["error"].get<std::string>() == "'NoneType' object is not iterable";
    }
    if (item.value("js_agrees", true)) {
      right += same;
      EXPECT_TRUE(same) << name << "\nwanted: " << item.value("rendered", item.value("error", ""))
                        << "\ngot:    " << got;
    } else {
      ++quirks, quirks_right += same;
    }
  }
  std::printf("%zu cases: %d right, and %d of %d that lean on quirks of Python\n", golden["cases"].size(), right,
              quirks_right, quirks);
}

INSTANTIATE_TEST_SUITE_P(Real, ChatGoldenTest, testing::ValuesIn(golden_folders()), [](const auto& folder) {
  std::string name = folder.param.filename();
  std::replace_if(name.begin(), name.end(), [](unsigned char c) { return !std::isalnum(c); }, '_');
  return name;
});

// The expected texts below are what jinja2 3.1.6 prints in transformers' environment.

TEST(ChatTemplateTest, WhiteSpaceOfBlocks) {
  EXPECT_EQ(render("a\n  {% if true %}\nb\n  {% endif %}\nc\n"), "a\nb\nc");
  EXPECT_EQ(render("{{ 'x' }}\n\n"), "x\n");
  EXPECT_EQ(render("a\n  {%+ if true %}b{% endif +%}\nc"), "a\n  b\nc");
}

TEST(ChatTemplateTest, PrintsAsPython) {
  EXPECT_EQ(
      render("{{ x }} {{ y }} {{ none }} {{ 1.0 }} {{ 1e20 }} {{ 7 // 2 }} {{ 7 / 2 }}", {{"x", true}, {"y", false}}),
      "True False None 1.0 1e+20 3 3.5");
  EXPECT_EQ(render("{{ x }}", {{"x", Json::parse(R"({"b": [1, "it's", null], "a": "q"})")}}),
            R"({'b': [1, "it's", None], 'a': 'q'})");
  EXPECT_EQ(render("{{ true ~ none ~ [1, 'a'] }} {{ [true, 2]|join('-') }} {{ false|string }}"),
            "TrueNone[1, 'a'] True-2 False");
}

TEST(ChatTemplateTest, ToJson) {
  const Json x = Json::parse(R"({"b": "<é&'\"\u0001\n>", "a": [1, 2.50, 1e30, true, null, {}, []], "n": {"k": "v"}})");
  EXPECT_EQ(render("{{ x|tojson }}", {{"x", x}}),
            R"({"b": "<é&'\"\u0001\n>", "a": [1, 2.5, 1e+30, true, null, {}, []], "n": {"k": "v"}})");
  EXPECT_EQ(render("{{ x|tojson(ensure_ascii=True, sort_keys=True) }}", {{"x", x}}),
            R"({"a": [1, 2.5, 1e+30, true, null, {}, []], "b": "<\u00e9&'\"\u0001\n>", "n": {"k": "v"}})");
  EXPECT_EQ(render("{{ x|tojson(separators=(',', ':')) }}", {{"x", {{"a", {1, 2}}}}}), R"({"a":[1,2]})");
  EXPECT_EQ(render("{{ x|tojson(indent=2) }}", {{"x", x["n"]}}), "{\n  \"k\": \"v\"\n}");
  EXPECT_EQ(render("{{ [1, {}]|tojson(indent=4) }}"), "[\n    1,\n    {}\n]");
  EXPECT_TRUE(render("{{ missing|tojson }}").starts_with("error: "));
}

TEST(ChatTemplateTest, PythonMethods) {
  EXPECT_EQ(
      render("{{ ' a b '.strip() }}|{{ 'xxaxx'.lstrip('x') }}|{{ 'a,b,c'.split(',')[-1] }}|{{ 'a b  c'.split() }}"),
      "a b|axx|c|['a', 'b', 'c']");
  EXPECT_EQ(render("{{ 'a,b,c'.split(',', 1) }}|{{ 'a,b,c'.rsplit(',', 1) }}|{{ 'abc'.startswith(('x', 'a')) }}"),
            "['a', 'b,c']|['a,b', 'c']|True");
  EXPECT_EQ(render("{{ 'k=v=w'.partition('=')|list }}|{{ 'foobar'.removeprefix('foo') }}|{{ '7'.zfill(3) }}|{{ "
                   "'é-'.index('-') }}"),
            "['k', '=', 'v=w']|bar|007|1");
  EXPECT_EQ(render("{% for k, v in x.items() %}{{ k }}={{ v }};{% endfor %}{{ x.get('z', 'none') }}",
                   {{"x", {{"b", 1}, {"a", 2}}}}),
            "b=1;a=2;none");
  EXPECT_EQ(
      render("{{ 'hello world'.title() }} {{ 'aXb'.upper() }} {{ 'a-b'.replace('-', '+') }} {{ 'abc'.find('c') }}"),
      "Hello World AXB a+b 2");
}

TEST(ChatTemplateTest, JinjaFilters) {
  EXPECT_EQ(render("{{ '12'|int }}{{ 'z'|int }}{{ 'z'|int(7) }}{{ 3.7|int }}{{ '0x1F'|int(base=16) }}{{ 'z'|float }}{{ "
                   "'1.5'|float }}"),
            "12073310.01.5");
  EXPECT_EQ(render("{{ 'k=v'.partition('=') }}{{ ' a  b c '.rsplit(None, 1) }}{{ cycler('a', 'b').next() }}{{ range is "
                   "callable }}"),
            "('k', '=', 'v')[' a  b', 'c']aTrue");
  EXPECT_EQ(render("\r\n{% if true %}\r\na\r\n{% endif %}\r\nb"), "\na\nb");
}

TEST(ChatTemplateTest, DictMethodsWinOverKeys) {
  const Json schema = Json::parse(R"({"items": {"type": "string"}, "keys": 1, "get": 2})");
  EXPECT_EQ(render("{% for k, v in x.items() %}{{ k }} {% endfor %}{{ x['items'] }}", {{"x", schema}}),
            "items keys get {'type': 'string'}");
}

TEST(ChatTemplateTest, LoopControlsNamespaceMacrosGeneration) {
  EXPECT_EQ(render("{% for i in range(9) %}{% if i == 1 %}{% continue %}{% endif %}{% if i == 4 %}{% break %}{% endif "
                   "%}{{ i }}{% endfor %}"),
            "023");
  EXPECT_EQ(render("{% set ns = namespace(n=0) %}{% for i in [1, 2] %}{% set ns.n = ns.n + i %}{% endfor %}{{ ns.n }}"),
            "3");
  EXPECT_EQ(render("{% macro m(a, b='x') %}<{{ a }}{{ b }}>{% endmacro %}{{ m(1) }}{{ m(2, b='y') }}"), "<1x><2y>");
  EXPECT_EQ(render("a{%- generation -%}  b{{ bos_token }}  {%- endgeneration %} c"), "ab<s> c");
  EXPECT_EQ(render("{{ 'ab'[::-1] }}{{ [1,2,3][1:]|first }}{{ 'x' if false }}|{{ 'b' in 'abc' }}{{ {'a': 1}|length }}"),
            "ba2|True1");
}

TEST(ChatTemplateTest, TestsOfTypes) {
  EXPECT_EQ(render("{{ 'a' is sequence }}{{ {} is sequence }}{{ 1 is sequence }}{{ 'a' is iterable }}{{ {} is mapping "
                   "}}{{ x is defined }}{{ none is none }}{{ none is iterable }}"),
            "TrueTrueFalseTrueTrueFalseTrueFalse");
  EXPECT_EQ(render("{{ 1 is number }}{{ 'a' is string }}{{ true is boolean }}{{ 2 is even }}{{ x is undefined }}"),
            "TrueTrueTrueTrueTrue");
}

TEST(ChatTemplateTest, Undefined) {
  EXPECT_EQ(
      render(
          "[{{ missing }}]{% if missing %}x{% endif %}{% for i in missing %}x{% endfor %}{{ missing|default('d') }}"),
      "[]d");
  const std::string error = render("\n{{ missing.field }}");
  EXPECT_TRUE(error.starts_with("error: ")) << error;
  EXPECT_NE(error.find("line 2"), std::string::npos) << error;
  EXPECT_NE(error.find("missing"), std::string::npos) << error;
}

TEST(ChatTemplateTest, Time) {
  EXPECT_EQ(render("{{ strftime_now('%Y-%m-%d %d %b %Y %A %f%Z') }}"), "2025-06-15 15 Jun 2025 Sunday 000000");
  EXPECT_EQ(render("{% macro m() %}{{ strftime_now('%Y') }}{% endmacro %}{{ m() }}"), "2025");
}

TEST(ChatTemplateTest, Raises) {
  EXPECT_EQ(render("{{ raise_exception('Only user and assistant roles are supported!') }}"),
            "error: Only user and assistant roles are supported!");
  EXPECT_EQ(render("{% macro m() %}{{ raise_exception('deep') }}{% endmacro %}{{ m() }}"), "error: deep");
}

TEST(ChatTemplateTest, BadInput) {
  EXPECT_TRUE(render("{% if %}").starts_with("error: cannot use the model's chat template"));
  EXPECT_TRUE(render("{% for %}{{").starts_with("error: "));
  EXPECT_TRUE(render("{{ 'a'|no_such_filter }}").starts_with("error: "));
  EXPECT_TRUE(render("{% include 'other' %}").starts_with("error: "));
  EXPECT_TRUE(render("{{ x }}", {{"messages", 1}}).starts_with("error: chat_template_kwargs cannot set 'messages'"));
  EXPECT_TRUE(render(std::string("\xff{{ 1 }}")).find("UTF-8") != std::string::npos);
  EXPECT_FALSE(ChatTemplate::create("x", Json::array({1})));
  EXPECT_EQ(render("{{ x }}", {{"x", "\xff"}}), "\xEF\xBF\xBD");
  // Neither an endless template nor a bomb takes the process with it.
  EXPECT_TRUE(render("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}").starts_with("error: "));
  EXPECT_TRUE(render("{% set ns = namespace(s='x') %}{% for i in range(64) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}")
                  .starts_with("error: "));
  EXPECT_TRUE(
      render("{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}").starts_with("error: "));
  std::string deep;
  for (int i = 0; i < 5000; ++i) deep += "{% if true %}";
  EXPECT_TRUE(render(deep).starts_with("error: "));
  EXPECT_TRUE(render("{{ " + std::string(5000, '(') + " }}").starts_with("error: "));
}

// Printing, comparing and freeing recurse: a stack that overflows ends the process.
TEST(ChatTemplateTest, ValuesDoNotNestWithoutEnd) {
  EXPECT_NE(render("{% set ns = namespace() %}{% set ns.x = ns %}{{ ns }}").find("cannot keep a namespace"),
            std::string::npos);
  for (const char* value : {"{'a': [ns]}", "namespace(a=ns)", "[1, ns]|list", "[ns]|map('default', 1)", "1, ns"}) {
    EXPECT_TRUE(
        render("{% set ns = namespace() %}{% set ns.x = " + std::string(value) + " %}{{ ns }}").starts_with("error: "))
        << value;
  }
  EXPECT_TRUE(render("{% set ns = namespace() %}{% set ns.x | default(ns, true) %}{% endset %}{{ ns }}")
                  .starts_with("error: "));
  for (const char* value : {"[ns.x]", "[ns.x]|reverse", "{'a': ns.x}.items()", "([ns.x]|batch(1)|list) + [1]"}) {
    EXPECT_TRUE(render("{% set ns = namespace(x=1) %}{% for i in range(9999) %}{% for j in range(99) %}{% set ns.x = " +
                       std::string(value) + " %}{% endfor %}{% endfor %}{{ ns.x }}")
                    .starts_with("error: "))
        << value;
  }
  // A small value that is a long text.
  EXPECT_TRUE(render("{% set ns = namespace(x=[1]) %}{% for i in range(40) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}"
                     "{{ ns.x|tojson }}")
                  .starts_with("error: "));
  EXPECT_TRUE(render("{% macro m(x, n) %}{{ m([x, x], n - 1) if n else x|tojson }}{% endmacro %}{{ m(1, 40) }}")
                  .starts_with("error: "));
  EXPECT_EQ(render("{% set ns = namespace(x=[], n=0) -%}\n{% for i in range(3) %}{% set ns.x = ns.x + [[i], i] -%}\n"
                   "{% set ns.n = ns.n + 1 if ns.x|length > 2 else 0 %}{% endfor %}{{ ns.x }} {{ ns.n }}"),
            "[[0], 0, [1], 1, [2], 2] 2");
}

TEST(ChatTemplateTest, LongSourcesAreRefusedAndDeepOnesDoNoHarm) {
  constexpr std::size_t kTag = 16000, kSource = 262000;
  const auto chain = [](std::size_t size, const std::string& first, const std::string& more) {
    std::string out = first;
    while (out.size() + more.size() < size) out += more;
    return out;
  };
  EXPECT_NE(render(std::string(std::size_t{300} << 10, 'x')).find("limit"), std::string::npos);
  EXPECT_NE(render(chain(20000, "{{ 1", "+1") + " }}").find("too long"), std::string::npos);
  render(chain(kTag, "{{ 1", "+1") + " }}");
  render(chain(kTag, "{{ x", ".x") + " }}");
  render(chain(kTag, "{{ x", "|e") + " }}");
  render(chain(kTag, "{{ 1", "~1") + " }}");
  render(chain(kTag, "{{ 1", " and 1") + " }}");
  render(chain(kTag, "{{ 1", " if 1 else 1") + " }}");
  render(chain(kTag, "{{ 1", "<1") + " }}");
  render(chain(kSource, "{% if x %}", "{% elif x %}") + "{% endif %}");
  EXPECT_TRUE(render(chain(kSource, "{% set x = 1 %}", "{% set x = [x] %}") + "{{ x }}").starts_with("[[["));
}

TEST(ChatTemplateTest, SharedByThreads) {
  const auto tmpl =
      ChatTemplate::create("{% for m in messages %}{{ m.content }}{{ bos_token }}{% endfor %}", {{"bos_token", "|"}});
  ASSERT_TRUE(tmpl);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 200; ++i) {
        const std::string word = std::to_string(t * 1000 + i);
        EXPECT_EQ((*tmpl)->render({.messages = {{{"content", word}}}}, 0).value(), word + "|");
      }
    });
  }
  for (auto& thread : threads) thread.join();
}

// Error cases of continue_final_message; what it renders is in the chat_golden.json of each model.
TEST(ChatTemplateTest, AMessageThatCannotGoOnIsAnError) {
  const auto open = [](const char* source, const char* messages) {
    const auto text =
        (*ChatTemplate::create(source, Json::object()))
            ->render(
                {.messages = Json::parse(messages), .add_generation_prompt = false, .continue_final_message = true}, 0);
    EXPECT_TRUE(text || text.error().param == "continue_final_message");
    return text ? *text : "error";
  };
  constexpr const char* kLast = "{{ messages[-1].content }}<end>";
  EXPECT_EQ(open(kLast, R"([{"content": " a\u3000"}])"), " a\u3000");
  EXPECT_EQ(open("{{ messages[-1].content|trim }}<end>", R"([{"content": " a\u3000"}])"), "a");
  EXPECT_EQ(open(kLast, "[]"), "error");
  EXPECT_EQ(open(kLast, R"([{"role": "assistant"}])"), "error");
  EXPECT_EQ(open(kLast, R"([{"content": null}])"), "error");
  EXPECT_EQ(open("{{ messages[-1]['text'] }}", R"([{"content": "a", "text": "b"}])"), "error");
  EXPECT_EQ(open("{# content #}{{ messages[0].role }}", R"([{"role": "user", "content": "a"}])"), "error");
  EXPECT_EQ(open("{{ messages[-1].content|upper }}", R"([{"content": "a"}])"), "error");
}

}  // namespace
}  // namespace tenon::chat
