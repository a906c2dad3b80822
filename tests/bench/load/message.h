// WHAT    Reads HTTP/1 messages: what a head says about the body, and where the body ends.
// SHAPES  Deliberately not the module's own parsers: what measures shares nothing with what is measured.
// ERRORS  BodyReader::malformed().
// SOURCE  RFC 9112.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace bench {

struct Head {
  std::string_view first_line;
  std::int64_t length = -1;
  bool chunked = false;
  bool close = false;
  bool upgrade = false;
};

// `text` ends with the empty line.
Head parse_head(std::string_view text);

// Where the bytes of a body go.
class BodySink {
 public:
  virtual void piece(std::string_view data) = 0;

 protected:
  ~BodySink() = default;
};

class BodyReader {
 public:
  void begin_length(std::uint64_t length);
  void begin_chunked() { state_ = State::Size; line_.clear(); }
  void begin_until_close() { state_ = State::UntilClose; }

  // Returns how many bytes of `data` belonged to the body.
  std::size_t take(std::string_view data, BodySink& sink);
  // The connection has ended.
  void end();

  bool done() const { return state_ == State::Done; }
  bool malformed() const { return state_ == State::Malformed; }

 private:
  enum class State { Length, Size, Data, DataEnd, Trailer, UntilClose, Done, Malformed };
  void take_line();

  State state_ = State::Done;
  std::uint64_t left_ = 0;
  std::string line_;
};

// Checks that a body is the common pattern from its first byte on.
class PatternCheck final : public BodySink {
 public:
  void begin() { size_ = 0; good_ = true; }
  void piece(std::string_view data) override;
  std::uint64_t size() const { return size_; }
  bool good() const { return good_; }

 private:
  std::uint64_t size_ = 0;
  bool good_ = true;
};

}  // namespace bench
