#include "net/state_file.h"

#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cmath>
#include <filesystem>
#include <string>

#include "balancer/latency.h"

using namespace cxxproxy;
using namespace cxxproxy::net;
using namespace std::chrono_literals;
using balancer::Remembered;

namespace {

constexpr Moment kWritten{base::Instant(1000s), base::Duration(5'000'000s)};

Remembered some_state() {
  Remembered known;
  known.balancers.push_back({balancer::slot_key("b"), {}});
  known.balancers[0].state.ticket = 4711;
  known.balancers[0].state.retry_account = 900;
  known.balancers[0].state.aged_at = 990'000'000;
  for (const char* name : {"one", "two"}) known.members.push_back({balancer::slot_key(name), {}});
  balancer::MemberState& one = known.members[0].state;
  one.status = 5;
  one.file_status = 4;
  one.failed_at = 970'000'000;  // 30 s before it was written
  one.chosen = 1234567890123;
  one.failures_in_a_row = 3;
  one.outcomes = 99;
  balancer::MemberState& two = known.members[1].state;
  two.ejected_until = 1'020'000'000;  // 20 s after
  two.back_at = 900'000'000;
  return known;
}

std::int64_t micros(base::Instant instant) { return instant.time_since_epoch().count(); }

std::string problem(const std::string& bytes) {
  const auto read = decode_state(bytes, kWritten);
  return read ? "" : read.error();
}

class Folder {
 public:
  Folder() { REQUIRE(::mkdtemp(path_) != nullptr); }
  ~Folder() { std::filesystem::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  std::string operator/(const std::string& name) const { return std::string(path_) + "/" + name; }

 private:
  char path_[32] = "/tmp/cxxproxy-state-XXXXXX";
};

}  // namespace

TEST_CASE("a state file gives back what was put in", "[net]") {
  const auto read = decode_state(encode_state(some_state(), kWritten), kWritten);
  REQUIRE(read);
  REQUIRE(read->balancers.size() == 1);
  REQUIRE(read->members.size() == 2);
  CHECK(read->balancers[0].key == balancer::slot_key("b"));
  CHECK(read->balancers[0].state.ticket == 4711);
  CHECK(read->balancers[0].state.retry_account == 900);
  const balancer::MemberState& one = read->members[0].state;
  CHECK(read->members[0].key == balancer::slot_key("one"));
  CHECK(one.status == 5);
  CHECK(one.file_status == 4);
  CHECK(one.failed_at == 970'000'000);
  CHECK(one.chosen == 1234567890123);
  CHECK(one.failures_in_a_row == 3);
  CHECK(one.outcomes == 0);
  CHECK(one.ejected_until == 0);
  CHECK(read->members[1].state.ejected_until == 1'020'000'000);

  const auto empty = decode_state(encode_state({}, kWritten), kWritten);
  REQUIRE(empty);
  CHECK((empty->members.empty() && empty->balancers.empty()));
}

TEST_CASE("rests go on by the wall clock, also over a new start of the machine", "[net]") {
  const std::string bytes = encode_state(some_state(), kWritten);
  struct Row {
    const char* what;
    Moment now;
    base::Duration passed;
  };
  const Row rows[] = {
      {"the machine ran on", {base::Instant(1010s), base::Duration(5'000'010s)}, 10s},
      {"the machine was started again", {base::Instant(7s), base::Duration(5'000'015s)}, 15s},
      {"the wall clock was set back", {base::Instant(1010s), base::Duration(4'000'000s)}, 0s},
      {"long ago", {base::Instant(3s), base::Duration(9'000'000s)}, 4'000'000s},
  };
  for (const Row& row : rows) {
    INFO(row.what);
    const auto read = decode_state(bytes, row.now);
    REQUIRE(read);
    // 30 s had passed of one rest, 20 s were left of the other.
    CHECK(micros(row.now.steady) - read->members[0].state.failed_at == (base::Duration(30s) + row.passed).count());
    CHECK(read->members[1].state.ejected_until - micros(row.now.steady) == (base::Duration(20s) - row.passed).count());
    CHECK(micros(row.now.steady) - read->members[1].state.back_at == (base::Duration(100s) + row.passed).count());
    CHECK(read->members[0].state.back_at == 0);
  }
}

TEST_CASE("a failure does not vanish because its instant would be zero", "[net]") {
  const Moment start{base::Instant(30s), kWritten.wall};
  const auto read = decode_state(encode_state(some_state(), kWritten), start);
  REQUIRE(read);
  CHECK(read->members[0].state.failed_at == 1);
}

TEST_CASE("a latency is as old after a restart as the time that has passed", "[net]") {
  Remembered known = some_state();
  std::atomic<std::uint64_t> word{0};
  balancer::add_latency(word, 5ms, kWritten.steady - 4s);
  known.members[0].state.latency = word;
  const Moment now{base::Instant(100s), kWritten.wall + base::Duration(6s)};
  const auto read = decode_state(encode_state(known, kWritten), now);
  REQUIRE(read);
  CHECK(balancer::latency_last(read->members[0].state.latency) == 5000);
  CHECK(balancer::latency_now(read->members[0].state.latency, now.steady) == Approx(5000 * std::exp(-1.0)).epsilon(0.01));
}

TEST_CASE("a file that does not fit is refused with the reason", "[net]") {
  const std::string good = encode_state(some_state(), kWritten);
  CHECK(problem(good) == "");
  CHECK(problem("") == "it is cut off");
  CHECK(problem(good.substr(0, 71)) == "it is cut off");
  CHECK(problem(good + "x") == "it is not as long as it says");
  const auto changed = [&](std::size_t offset, int by) {
    std::string bytes = good;
    bytes[offset] = static_cast<char>(bytes[offset] + by);
    return problem(bytes);
  };
  CHECK(changed(0, 1) == "it is no state file of this machine");
  CHECK(changed(8, 1) == "it has another version");
  for (const std::size_t size : {12u, 16u, 20u}) CHECK(changed(size, 8) == "its records have another size");
  CHECK(changed(24, 1) == "it is not as long as it says");
  CHECK(changed(39, 127) == "it is not as long as it says");  // a number that would overflow
  CHECK(changed(40, 1) == "its checksum is wrong");
  CHECK(changed(good.size() - 1, 1) == "its checksum is wrong");
}

TEST_CASE("no piece of a file and no file with a flipped bit is taken", "[net]") {
  const std::string good = encode_state(some_state(), kWritten);
  for (std::size_t size = 0; size < good.size(); ++size) REQUIRE(problem(good.substr(0, size)) != "");
  for (std::size_t bit = 0; bit < 8 * good.size(); ++bit) {
    std::string bytes = good;
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << bit % 8));
    REQUIRE(problem(bytes) != "");
  }
}

TEST_CASE("the file is written for its owner alone, beside the former one", "[net]") {
  const Folder folder;
  const std::string path = folder / "state";
  REQUIRE(read_state_file(path).error() == ENOENT);
  // What a crash may have left; a link is not written through.
  REQUIRE(::symlink("target", (folder / "state.new").c_str()) == 0);
  REQUIRE(write_state_file(path, "first") == 0);
  REQUIRE(write_state_file(path, "second") == 0);
  REQUIRE(read_state_file(path).value() == "second");
  struct stat facts {};
  REQUIRE(::stat(path.c_str(), &facts) == 0);
  CHECK((facts.st_mode & 07777) == 0600);
  CHECK(::access((folder / "state.new").c_str(), F_OK) != 0);
  CHECK(::access((folder / "target").c_str(), F_OK) != 0);
}

TEST_CASE("what cannot be written or read says why, and leaves nothing behind", "[net]") {
  const Folder folder;
  CHECK(write_state_file(folder / "none/state", "x") == ENOENT);
  REQUIRE(::mkdir((folder / "state").c_str(), 0700) == 0);
  REQUIRE(::mkdir((folder / "state/full").c_str(), 0700) == 0);
  CHECK(write_state_file(folder / "state", "x") != 0);  // a directory is in its place
  CHECK(::access((folder / "state.new").c_str(), F_OK) != 0);
  CHECK(read_state_file(folder / "state").error() == EINVAL);
  REQUIRE(::mkfifo((folder / "fifo").c_str(), 0600) == 0);
  CHECK(read_state_file(folder / "fifo").error() == EINVAL);  // and does not wait for a writer
  REQUIRE(::symlink("fifo", (folder / "link").c_str()) == 0);
  CHECK(read_state_file(folder / "link").error() == ELOOP);
  REQUIRE(write_state_file(folder / "large", "x") == 0);
  REQUIRE(::truncate((folder / "large").c_str(), static_cast<off_t>(kLongestStateFile) + 1) == 0);
  CHECK(read_state_file(folder / "large").error() == EFBIG);
}
