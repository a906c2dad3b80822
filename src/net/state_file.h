// The file in which the state of members and balancers outlives the server (BalancerPersist On).
//
// WHAT    encode_state() and decode_state() turn what balancer/slot_places.h remembers into bytes and back;
//         write_state_file() and read_state_file() move them. What is in flight is not part of it.
// SHAPES  A head of 72 bytes, then a record for each balancer and each member, in the byte order of the machine: the file
//         is read where it was written. A checksum covers all of it. Instants are CLOCK_MONOTONIC, which begins again
//         with the machine; the head has what it and the wall clock were at the writing. The time that passed meanwhile
//         is the difference of the wall clocks, and none if that was set back.
//         Written beside its place, synced and renamed, so there is always the whole former file or the whole new
//         one; mode 0600. At most kLongestStateFile is read, and only from a regular file.
//         Another layout of MemberState or BalancerState needs a new kStateFileVersion.
// ERRORS  decode: why it does not fit, in words for the log. read, write: the system's errno; ENOENT for no file.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "balancer/slot_places.h"
#include "base/clock.h"
#include "base/result.h"

namespace cxxproxy::net {

inline constexpr std::uint32_t kStateFileVersion = 1;
inline constexpr std::size_t kLongestStateFile = std::size_t{64} << 20;

// One moment on both clocks.
struct Moment {
  base::Instant steady;
  base::Duration wall;  // since 1970
};
Moment this_moment() noexcept;

std::string encode_state(const balancer::Remembered& known, const Moment& now);
base::Result<balancer::Remembered, std::string> decode_state(std::string_view bytes, const Moment& now);

// 0 = written.
int write_state_file(const std::string& path, std::string_view bytes) noexcept;
base::Result<std::string, int> read_state_file(const std::string& path);

}  // namespace cxxproxy::net
