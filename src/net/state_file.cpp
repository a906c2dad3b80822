#include "net/state_file.h"

#include <apr_md5.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <type_traits>

#include "net/descriptor.h"

namespace cxxproxy::net {

using balancer::Remembered;

namespace {

constexpr std::uint64_t kMagic = 0x4358505354415445;  // "CXPSTATE", another number in the other byte order

struct FileHead {
  std::uint64_t magic;
  std::uint32_t version;
  std::uint32_t head_size;
  std::uint32_t balancer_size;
  std::uint32_t member_size;
  std::uint64_t balancers;
  std::uint64_t members;
  std::int64_t steady;  // microseconds
  std::int64_t wall;
  std::array<std::uint8_t, APR_MD5_DIGESTSIZE> checksum;  // of all of the file, with zeros here
};

static_assert(sizeof(FileHead) == 72);
static_assert(std::has_unique_object_representations_v<FileHead>);
static_assert(std::has_unique_object_representations_v<Remembered::Member>);
static_assert(std::has_unique_object_representations_v<Remembered::Balancer>);

// MD5 is no protection from forgery here, and need not be: who can write the file can write the configuration.
std::array<std::uint8_t, APR_MD5_DIGESTSIZE> checksum_of(FileHead head, std::string_view records) noexcept {
  head.checksum = {};
  apr_md5_ctx_t sum;
  apr_md5_init(&sum);
  apr_md5_update(&sum, &head, sizeof head);
  apr_md5_update(&sum, records.data(), records.size());
  std::array<std::uint8_t, APR_MD5_DIGESTSIZE> digest{};
  apr_md5_final(digest.data(), &sum);
  return digest;
}

template <class Record>
void append(std::string& bytes, const std::vector<Record>& records) {
  if (!records.empty()) bytes.append(reinterpret_cast<const char*>(records.data()), records.size() * sizeof(Record));
}

template <class Record>
std::string_view take(std::string_view bytes, std::uint64_t count, std::vector<Record>& records) {
  records.resize(count);
  if (count != 0) std::memcpy(records.data(), bytes.data(), count * sizeof(Record));
  return bytes.substr(count * sizeof(Record));
}

const char* misfit(const FileHead& head, std::string_view records) noexcept {
  if (head.magic != kMagic) return "it is no state file of this machine";
  if (head.version != kStateFileVersion) return "it has another version";
  const bool same_sizes = head.head_size == sizeof(FileHead) && head.balancer_size == sizeof(Remembered::Balancer) &&
                          head.member_size == sizeof(Remembered::Member);
  if (!same_sizes) return "its records have another size";
  // Neither product can overflow.
  constexpr std::uint64_t kMost = kLongestStateFile / sizeof(Remembered::Balancer);
  const bool counts_fit = head.balancers <= kMost && head.members <= kMost &&
                          head.balancers * sizeof(Remembered::Balancer) + head.members * sizeof(Remembered::Member) == records.size();
  if (!counts_fit) return "it is not as long as it says";
  if (head.checksum != checksum_of(head, records)) return "its checksum is wrong";
  return nullptr;
}

// 0 stays "never", and no instant becomes it.
void shift(std::int64_t& instant, std::int64_t by) noexcept {
  if (instant == 0) return;
  instant += by;
  if (instant == 0) instant = 1;
}

bool write_all(int file, std::string_view bytes) noexcept {
  while (!bytes.empty()) {
    const ssize_t written = ::write(file, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

// The rename itself is on the disk only when the directory is.
void sync_directory_of(const std::string& path) noexcept {
  const std::size_t slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const Descriptor directory(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory.is_open()) (void)::fsync(directory.number());
}

}  // namespace

Moment this_moment() noexcept {
  const auto wall = std::chrono::system_clock::now().time_since_epoch();
  return {base::SteadyClock{}.now(), std::chrono::duration_cast<base::Duration>(wall)};
}

std::string encode_state(const Remembered& known, const Moment& now) {
  std::string records;
  append(records, known.balancers);
  append(records, known.members);
  FileHead head{kMagic,
                kStateFileVersion,
                sizeof(FileHead),
                sizeof(Remembered::Balancer),
                sizeof(Remembered::Member),
                known.balancers.size(),
                known.members.size(),
                base::micros(now.steady),
                now.wall.count(),
                {}};
  head.checksum = checksum_of(head, records);
  return std::string(reinterpret_cast<const char*>(&head), sizeof head) + records;
}

base::Result<Remembered, std::string> decode_state(std::string_view bytes, const Moment& now) {
  FileHead head{};
  if (bytes.size() < sizeof head) return std::string("it is cut off");
  std::memcpy(&head, bytes.data(), sizeof head);
  bytes.remove_prefix(sizeof head);
  if (const char* const why = misfit(head, bytes)) return std::string(why);
  Remembered known;
  take(take(bytes, head.balancers, known.balancers), head.members, known.members);

  const std::int64_t passed = std::max<std::int64_t>(0, now.wall.count() - head.wall);
  const std::int64_t by = base::micros(now.steady) - passed - head.steady;
  for (Remembered::Balancer& balancer : known.balancers) shift(balancer.state.aged_at, by);
  for (Remembered::Member& member : known.members) {
    shift(member.state.failed_at, by);
    shift(member.state.ejected_until, by);
    shift(member.state.back_at, by);
    // Its time is milliseconds in the upper half, counted round (latency.h); a window of outcomes is over.
    member.state.latency += static_cast<std::uint64_t>(by / 1000) << 32;
    member.state.outcomes = 0;
  }
  return known;
}

int write_state_file(const std::string& path, std::string_view bytes) noexcept {
  const std::string fresh = path + ".new";
  // One that a crash has left; whatever it is, it is not followed.
  if (::unlink(fresh.c_str()) != 0 && errno != ENOENT) return errno;
  const Descriptor file(::open(fresh.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, S_IRUSR | S_IWUSR));
  if (!file.is_open()) return errno;
  const bool done = write_all(file.number(), bytes) && ::fsync(file.number()) == 0 && ::rename(fresh.c_str(), path.c_str()) == 0;
  if (!done) {
    const int why = errno;
    (void)::unlink(fresh.c_str());
    return why;
  }
  sync_directory_of(path);
  return 0;
}

base::Result<std::string, int> read_state_file(const std::string& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  struct stat facts {};
  if (!file.is_open() || ::fstat(file.number(), &facts) != 0) return errno;
  if (!S_ISREG(facts.st_mode)) return EINVAL;
  if (static_cast<std::uint64_t>(facts.st_size) > kLongestStateFile) return EFBIG;
  return read_at_most(file, static_cast<std::size_t>(facts.st_size));
}

}  // namespace cxxproxy::net
