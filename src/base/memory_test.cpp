#include "base/memory.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

namespace tenon {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMeg = std::size_t{1} << 20;

// The files that the kernel would show.
class Memory : public testing::Test {
 protected:
  void SetUp() override {
    root_ = fs::temp_directory_path() / ("tenon_memory_" + std::to_string(::getpid()));
    put("proc/meminfo", "MemTotal:       20480 kB\nMemFree:         1024 kB\nMemAvailable:   10240 kB\n");
  }
  void TearDown() override { fs::remove_all(root_); }
  void put(const fs::path& file, const std::string& text) const {
    fs::create_directories((root_ / file).parent_path());
    std::ofstream(root_ / file) << text;
  }
  void group(const fs::path& path, std::size_t limit, std::size_t used, std::size_t cache) const {
    put("sys/fs/cgroup" / path / "memory.max", std::to_string(limit * kMeg) + "\n");
    put("sys/fs/cgroup" / path / "memory.current", std::to_string(used * kMeg) + "\n");
    put("sys/fs/cgroup" / path / "memory.stat",
        "anon 4096\nfile 12345678\nactive_file " + std::to_string(cache * kMeg) + "\ninactive_file 1048576\n");
  }
  std::size_t megabytes() const { return available_memory(root_) / kMeg; }

  fs::path root_;
};

TEST_F(Memory, OfTheMachineWhereNoGroupHasALimit) {
  EXPECT_EQ(megabytes(), 10U);
  put("proc/self/cgroup", "0::/a\n");
  put("sys/fs/cgroup/a/memory.max", "max\n");
  put("sys/fs/cgroup/a/memory.current", "5000000\n");
  EXPECT_EQ(megabytes(), 10U);
}

TEST_F(Memory, OfTheProcessWhereItHasLimitsOfItsOwn) {
  const auto limits = [&](const std::string& data, const std::string& addresses) {
    put("proc/self/limits",
        "Limit                     Soft Limit           Hard Limit           Units     \n"
        "Max data size             " +
            data +
            "            unlimited            bytes     \n"
            "Max address space         " +
            addresses + "            unlimited            bytes     \n");
  };
  put("proc/self/status", "Name:\ttenon\nVmSize:\t    4096 kB\nVmData:\t    2048 kB\n");
  limits("unlimited", "unlimited");
  EXPECT_EQ(megabytes(), 10U);
  limits("unlimited", "7340032");
  EXPECT_EQ(megabytes(), 3U);
  limits("4194304", "7340032");
  EXPECT_EQ(megabytes(), 2U);
  limits("unlimited", "1048576");  // taken before the limit was set
  EXPECT_EQ(megabytes(), 0U);
}

TEST_F(Memory, OfTheGroupWithoutItsPageCache) {
  put("proc/self/cgroup", "0::/system.slice/tenon.service\n");
  group("system.slice/tenon.service", 8, 6, 2);
  EXPECT_EQ(megabytes(), 5U);  // 8 - (6 - 2 - 1)
}

TEST_F(Memory, OfTheTightestOfItsAncestors) {
  put("proc/self/cgroup", "0::/a/b\n");
  group("a/b", 9, 2, 1);
  group("a", 6, 4, 1);
  EXPECT_EQ(megabytes(), 4U);
  group("a", 6, 9, 1);  // over its limit
  EXPECT_EQ(megabytes(), 0U);
}

TEST_F(Memory, OfAContainerThatSeesTheHostsPath) {
  put("proc/self/cgroup", "0::/docker/0123\n");
  group("", 7, 3, 1);
  EXPECT_EQ(megabytes(), 6U);
}

TEST_F(Memory, OfTheFirstVersion) {
  put("proc/self/cgroup", "12:cpu,cpuacct:/x\n4:memory:/x\n1:name=systemd:/x\n0::/x\n");
  put("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  put("sys/fs/cgroup/memory/memory.usage_in_bytes", "123456789\n");
  put("sys/fs/cgroup/memory/x/memory.limit_in_bytes", std::to_string(6 * kMeg));
  put("sys/fs/cgroup/memory/x/memory.usage_in_bytes", std::to_string(5 * kMeg));
  put("sys/fs/cgroup/memory/x/memory.stat",
      "active_file 0\ninactive_file 0\ntotal_inactive_file 2097152\ntotal_active_file 1048576\n");
  EXPECT_EQ(megabytes(), 4U);
}

TEST(AvailableMemory, OfThisMachine) {
  EXPECT_GT(available_memory(), kMeg);
  EXPECT_LT(available_memory(), std::size_t{1} << 50);
}

}  // namespace
}  // namespace tenon
