// A value or the failure that took its place; the data plane throws nothing.
//
// WHAT    Result<T, E> holds exactly one of both. Asking for the wrong one is a programming error
//         (asserted in debug builds). std::expected would do, but is C++23.
#pragma once

#include <cassert>
#include <utility>
#include <variant>

#include "base/error.h"

namespace cxxproxy::base {

template <class T, class E = Error>
class [[nodiscard]] Result {
 public:
  Result(T value) : held_(std::in_place_index<0>, std::move(value)) {}  // NOLINT: implicit on purpose
  Result(E error) : held_(std::in_place_index<1>, std::move(error)) {}  // NOLINT: implicit on purpose

  explicit operator bool() const noexcept { return held_.index() == 0; }
  T& value() noexcept { return *std::get_if<0>(&held_); }
  const T& value() const noexcept { return *std::get_if<0>(&held_); }
  const E& error() const noexcept { return *std::get_if<1>(&held_); }
  T* operator->() noexcept { return &value(); }
  const T* operator->() const noexcept { return &value(); }
  T& operator*() noexcept { return value(); }
  const T& operator*() const noexcept { return value(); }

 private:
  std::variant<T, E> held_;
};

}  // namespace cxxproxy::base
