#include "net/hmac.h"

#include <apr_sha1.h>

#include <algorithm>

namespace cxxproxy::net {

namespace {

constexpr std::size_t kBlock = 64;
using Digest = std::array<std::uint8_t, APR_SHA1_DIGESTSIZE>;
using Block = std::array<std::uint8_t, kBlock>;

void add(apr_sha1_ctx_t& context, const std::uint8_t* data, std::size_t size) noexcept {
  apr_sha1_update_binary(&context, data, static_cast<unsigned>(size));
}

// SHA-1 of the block, each byte of it with `pad`, and what follows.
Digest inside(const Block& block, std::uint8_t pad, const std::uint8_t* data, std::size_t size) noexcept {
  Block padded = block;
  for (std::uint8_t& byte : padded) byte = static_cast<std::uint8_t>(byte ^ pad);
  apr_sha1_ctx_t context;
  apr_sha1_init(&context);
  add(context, padded.data(), padded.size());
  add(context, data, size);
  Digest digest{};
  apr_sha1_final(digest.data(), &context);
  return digest;
}

const std::uint8_t* bytes(std::string_view text) noexcept { return reinterpret_cast<const std::uint8_t*>(text.data()); }

}  // namespace

std::array<std::uint8_t, 20> hmac_sha1(std::string_view key, std::string_view message) noexcept {
  Block block{};
  if (key.size() > kBlock) {
    apr_sha1_ctx_t context;
    apr_sha1_init(&context);
    add(context, bytes(key), key.size());
    apr_sha1_final(block.data(), &context);
  } else {
    std::copy_n(bytes(key), key.size(), block.begin());
  }
  const Digest inner = inside(block, 0x36, bytes(message), message.size());
  return inside(block, 0x5c, inner.data(), inner.size());
}

}  // namespace cxxproxy::net
