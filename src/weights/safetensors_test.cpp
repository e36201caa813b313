#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <cstring>
#include <fstream>

#include "base/file.h"
#include "base/json.h"
#include "weights/checkpoint.h"
#include "weights/safetensors_header.h"
#include "weights/test_files.h"

namespace tenon::weights {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

std::string parse_error(const std::string& header, std::size_t data_bytes) {
  const std::string file = safetensors_file(header, data_bytes);
  const auto r = parse_safetensors(as_bytes(file), "f.safetensors");
  return r ? "no error" : r.error().message;
}

TEST(Safetensors, ReadsOneFileInTheOrderOfItsData) {
  const TemporaryDirectory dir;
  const std::string path = dir.write(
      "x.safetensors",
      safetensors_file(R"({"b":{"dtype":"BF16","shape":[2,3],"data_offsets":[4,16]},)"
                       R"("__metadata__":{"format":"pt"},"s":{"dtype":"F32","shape":[],"data_offsets":[0,4]},)"
                       R"("none":{"dtype":"I64","shape":[0,7],"data_offsets":[16,16]},)"
                       R"("f8":{"dtype":"F8_E4M3","shape":[1],"data_offsets":[16,17]}}    )",
                       17));
  const auto opened = open_safetensors(path);
  ASSERT_TRUE(opened) << opened.error().message;
  const Checkpoint& c = **opened;
  EXPECT_EQ(c.format(), Format::kSafetensors);
  EXPECT_THAT(c.names(), ElementsAre("s", "b", "none", "f8"));
  EXPECT_TRUE(c.metadata().is_null());
  EXPECT_EQ(safetensors_metadata(path)->dump(), R"({"format":"pt"})");
  EXPECT_EQ(c.find("absent"), nullptr);
  EXPECT_EQ(c.file_of("absent"), "");
  const tensor::TensorView* b = c.find("b");
  ASSERT_NE(b, nullptr);
  EXPECT_EQ(b->dtype, tensor::DType::kBF16);
  EXPECT_THAT(b->shape, ElementsAre(2, 3));
  EXPECT_EQ(b->data[0], std::byte{4});
  EXPECT_EQ(c.find("none")->bytes(), 0);
  EXPECT_EQ(c.find("f8")->dtype, tensor::DType::kF8E4M3);
  EXPECT_EQ(c.file_of("b"), "x.safetensors");
  c.release("b");
  c.release("none");
  EXPECT_EQ(b->data[11], std::byte{15});  // dropped pages come back from the file
}

TEST(Safetensors, RefusesWhatContradictsItself) {
  const auto one = [](const std::string& dtype, const std::string& shape, const std::string& offsets) {
    return R"({"w":{"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":)" + offsets + "}}";
  };
  EXPECT_EQ(parse_error(one("F32", "[2]", "[0,8]"), 8), "no error");
  EXPECT_THAT(parse_error(one("F32", "[3]", "[0,8]"), 8), AllOf(HasSubstr("'w'"), HasSubstr("needs 12")));
  EXPECT_THAT(parse_error(one("F32", "[2]", "[0,8]"), 7), HasSubstr("truncated"));
  EXPECT_THAT(parse_error(one("F32", "[2]", "[0,8]"), 9), HasSubstr("1 bytes at its end"));
  EXPECT_THAT(parse_error(one("F32", "[2]", "[4,12]"), 12), HasSubstr("4 bytes before the tensor 'w'"));
  EXPECT_THAT(parse_error(one("F32", "[2]", "[8,0]"), 8), HasSubstr("ends before it begins"));
  EXPECT_THAT(parse_error(one("F32", "[-2]", "[0,8]"), 8), HasSubstr("non-negative"));
  EXPECT_THAT(parse_error(one("F32", "[2.0]", "[0,8]"), 8), HasSubstr("non-negative"));
  EXPECT_THAT(parse_error(one("F32", "[2]", "[0]"), 8), HasSubstr("data_offsets"));
  EXPECT_THAT(parse_error(one("F32", "[2]", "[0,8,9]"), 8), HasSubstr("data_offsets"));
  EXPECT_THAT(parse_error(one("U64", "[1]", "[0,8]"), 8), AllOf(HasSubstr("'w'"), HasSubstr("U64, which Tenon")));
  EXPECT_THAT(parse_error(one("Q4_K", "[256]", "[0,144]"), 144), HasSubstr("unknown dtype 'Q4_K'"));
  EXPECT_THAT(parse_error(one("F32", "[4294967296,4294967296]", "[0,8]"), 8), HasSubstr("absurd shape"));
  EXPECT_THAT(parse_error(one("F32", "[0,9223372036854775807,4]", "[0,0]"), 0), HasSubstr("absurd shape"));
  EXPECT_THAT(parse_error(one("U8", "[18446744073709551615]", "[0,8]"), 8), HasSubstr("absurd shape"));
  EXPECT_THAT(parse_error(one("U8", "[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]", "[0,1]"), 1), HasSubstr("at most 16"));
}

TEST(Safetensors, RefusesOverlapsAndDuplicates) {
  EXPECT_THAT(parse_error(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
                          R"("b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}})",
                          12),
              AllOf(HasSubstr("'a' and 'b' overlap")));
  EXPECT_THAT(parse_error(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                          R"("a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})",
                          2),
              HasSubstr("two tensors are named 'a'"));
  EXPECT_THAT(parse_error(R"({"a":{"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]}})", 1),
              HasSubstr("one dtype"));
}

TEST(Safetensors, RefusesBrokenHeaders) {
  EXPECT_THAT(parse_error("[]", 0), HasSubstr("not a JSON object"));
  EXPECT_THAT(parse_error("", 0), HasSubstr("not a JSON object"));
  EXPECT_THAT(parse_error("{\"a\":", 0), HasSubstr("not valid JSON"));
  EXPECT_THAT(parse_error("{\"\xff\":1}", 0), HasSubstr("not valid JSON"));
  EXPECT_THAT(parse_error("{\"a\":" + std::string(5000, '[') + std::string(5000, ']') + "}", 0),
              HasSubstr("not valid JSON"));
  EXPECT_THAT(parse_error(R"({"a":7})", 0), HasSubstr("'a' is not described"));
  EXPECT_THAT(parse_error(R"({"":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}})", 0), HasSubstr("empty name"));
  EXPECT_EQ(parse_error("{}", 0), "no error");
  const auto header_of = [](const std::string& bytes) {
    return parse_safetensors(as_bytes(bytes), "f").error().message;
  };
  EXPECT_THAT(header_of("short"), HasSubstr("too few"));
  EXPECT_THAT(header_of(raw<std::uint64_t>(50) + "{}"), HasSubstr("longer than the file"));
  EXPECT_THAT(header_of(raw<std::uint64_t>(UINT64_MAX) + "{}"), HasSubstr("not a SafeTensors file"));
}

TEST(Safetensors, EveryTruncationIsAnError) {
  const std::string whole = safetensors_file(
      R"({"a":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]},"b":{"dtype":"U8","shape":[3],"data_offsets":[16,19]}})",
      19);
  ASSERT_TRUE(parse_safetensors(as_bytes(whole), "f"));
  for (std::size_t n = 0; n < whole.size(); ++n) {
    const std::string part = whole.substr(0, n);
    EXPECT_FALSE(parse_safetensors(as_bytes(part), "f")) << n;
  }
}

TEST(Safetensors, MessagesHoldNoControlCharacters) {
  const std::string message = parse_error("{\"a\\u001b[31m\\n" + std::string(500, 'x') + "\":7}", 0);
  EXPECT_EQ(message.find('\x1b'), std::string::npos);
  EXPECT_EQ(message.find('\n'), std::string::npos);
  EXPECT_LT(message.size(), 250u);
}

class Sharded : public testing::Test {
 protected:
  void shard(const std::string& file, const std::string& tensor) {
    dir_.write(file, safetensors_file(R"({")" + tensor + R"(":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", 4));
  }
  void index(const std::string& map) {
    dir_.write("model.safetensors.index.json", R"({"metadata":{},"weight_map":)" + map + "}");
  }
  std::string error() {
    const auto r = open_safetensors(dir_.path());
    return r ? "no error" : r.error().message;
  }
  TemporaryDirectory dir_;
};

TEST_F(Sharded, OpensAllShards) {
  shard("model-00001-of-00002.safetensors", "a");
  shard("model-00002-of-00002.safetensors", "b");
  index(R"({"b":"model-00002-of-00002.safetensors","a":"model-00001-of-00002.safetensors"})");
  const auto c = open_safetensors(dir_.path());
  ASSERT_TRUE(c) << c.error().message;
  EXPECT_THAT((*c)->names(), ElementsAre("a", "b"));
  EXPECT_EQ((*c)->file_of("b"), "model-00002-of-00002.safetensors");
}

TEST_F(Sharded, NamesWhatIsMissing) {
  shard("one.safetensors", "a");
  index(R"({"a":"one.safetensors","b":"two.safetensors","c":"two.safetensors"})");
  EXPECT_THAT(error(), AllOf(HasSubstr("two.safetensors: this shard is missing"), HasSubstr("2 tensors, 'b'")));
  index(R"({"a":"one.safetensors","zz":"one.safetensors"})");
  EXPECT_THAT(error(), HasSubstr("'zz' should be in one.safetensors, which lacks it"));
}

TEST_F(Sharded, RefusesDuplicatesAndStrangeIndexes) {
  shard("one.safetensors", "a");
  shard("two.safetensors", "a");
  index(R"({"a":"one.safetensors","b":"two.safetensors"})");
  EXPECT_THAT(error(), HasSubstr("'a' is also in one.safetensors"));
  for (const char* evil : {"../one.safetensors", "/etc/passwd", "..", "", "a\\\\b", "a\\u0000b"}) {
    index(std::string(R"({"a":")") + evil + "\"}");
    EXPECT_THAT(error(), HasSubstr("not a plain file name")) << evil;
  }
  index("{}");
  EXPECT_THAT(error(), HasSubstr("empty"));
  index("[]");
  EXPECT_THAT(error(), HasSubstr("weight_map"));
  index(R"({"a":1})");
  EXPECT_THAT(error(), HasSubstr("not a string"));
}

TEST_F(Sharded, SaysWhatADirectoryHasInstead) {
  dir_.write("pytorch_model.bin", "x");
  EXPECT_THAT(error(),
              AllOf(HasSubstr("has neither model.safetensors"), HasSubstr("pytorch_model.bin"), HasSubstr("convert")));
  EXPECT_EQ(open_safetensors(dir_.file("absent.safetensors")).error().code, ErrorCode::kNotFound);
}

TEST(WriteSafetensors, RoundTripsAndReplacesAtomically) {
  const TemporaryDirectory dir;
  const std::string path = dir.file("out.safetensors");
  const std::int8_t small[3] = {1, 2, 3};
  const float wide[4] = {1.5f, -2, 3, 4};
  const auto view = [](tensor::DType d, tensor::Shape s, const void* p) {
    return tensor::TensorView{d, std::move(s), static_cast<const std::byte*>(p)};
  };
  dir.write("out.safetensors", "old");
  const auto ok = write_safetensors(path, {{"small", view(tensor::DType::kI8, {3}, small)},
                                           {"wide \"quoted\"", view(tensor::DType::kF32, {2, 2}, wide)},
                                           {"none", view(tensor::DType::kBF16, {0}, nullptr)}});
  ASSERT_TRUE(ok) << ok.error().message;
  const auto c = open_safetensors(path);
  ASSERT_TRUE(c) << c.error().message;
  EXPECT_EQ((*c)->names().size(), 3u);
  const auto* w = (*c)->find("wide \"quoted\"");
  ASSERT_NE(w, nullptr);
  EXPECT_THAT(w->shape, ElementsAre(2, 2));
  EXPECT_EQ(std::memcmp(w->data, wide, sizeof wide), 0);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(w->data) % 4, 0u);
  EXPECT_EQ(std::memcmp((*c)->find("small")->data, small, 3), 0);
  int files = 0;
  for ([[maybe_unused]] const auto& f : std::filesystem::directory_iterator(dir.path())) ++files;
  EXPECT_EQ(files, 1);  // no temporary file is left
}

TEST(WriteSafetensors, RefusesWhatTheFormatCannotHold) {
  const TemporaryDirectory dir;
  const std::byte bytes[64]{};
  const tensor::TensorView f32{tensor::DType::kF32, {2}, bytes}, q8{tensor::DType::kQ8_0, {32}, bytes};
  const std::string path = dir.file("x");
  EXPECT_THAT(write_safetensors(path, {{"q", q8}}).error().message, HasSubstr("'q' is Q8_0"));
  EXPECT_THAT(write_safetensors(path, {{"a", f32}, {"a", f32}}).error().message, HasSubstr("given twice"));
  EXPECT_FALSE(write_safetensors(path, {{"__metadata__", f32}}));
  EXPECT_FALSE(write_safetensors(path, {{"\xff", f32}}));
  EXPECT_FALSE(write_safetensors(path, {{"a", {tensor::DType::kF32, {2}, nullptr}}}));
  EXPECT_FALSE(write_safetensors(dir.file("no/such/dir"), {{"a", f32}}));
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(WriteSafetensors, LeavesTheOldFileWhenTheDiskIsFull) {
  const TemporaryDirectory dir;
  const std::string path = dir.write("x.safetensors", "old");
  const std::string data(100'000, 'x');
  // A limit on file size stands in for a full disk: the write fails midway either way.
  struct rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  struct rlimit small = before;
  small.rlim_cur = 10'000;
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  const auto r = write_safetensors(
      path, {{"a", {tensor::DType::kU8, {100'000}, reinterpret_cast<const std::byte*>(data.data())}}});
  setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, old_handler);
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error().code, ErrorCode::kResourceExhausted);
  EXPECT_EQ(*read_file(path), "old");
  int files = 0;
  for ([[maybe_unused]] const auto& f : std::filesystem::directory_iterator(dir.path())) ++files;
  EXPECT_EQ(files, 1);
}

TEST(ShapesOnly, HasShapesAndNoData) {
  const auto c = shapes_only(
      Json::parse(R"({"a": {"dtype": "BF16", "shape": [2, 3]}, "b": {"dtype": "Q4_K", "shape": [1, 256]}})"));
  ASSERT_TRUE(c) << c.error().message;
  EXPECT_THAT((*c)->names(), ElementsAre("a", "b"));
  EXPECT_EQ((*c)->find("a")->data, nullptr);
  EXPECT_EQ((*c)->find("b")->bytes(), 144);
  EXPECT_EQ((*c)->file_of("a"), "");
  (*c)->release("a");
  for (const char* bad :
       {"[]", R"({"a": 1})", R"({"a": {"dtype": "XX", "shape": []}})", R"({"a": {"dtype": "F32", "shape": [-1]}})",
        R"({"a": {"dtype": "F32", "shape": [1.5]}})", R"({"a": {"dtype": "Q8_0", "shape": [31]}})"}) {
    EXPECT_FALSE(shapes_only(Json::parse(bad))) << bad;
  }
}

}  // namespace
}  // namespace tenon::weights
