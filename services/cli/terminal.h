// The program's standard streams: what they are connected to, colours, and output whose failures are kept.
#pragma once

#include <memory>
#include <ostream>
#include <streambuf>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace lastro::services {

// What a stream is connected to.
struct Terminal {
  bool is_terminal = false;
  int columns = 80;
  int rows = 24;
  bool colours = false;
};

// Asks the system about `fd`. Colours: only on a terminal, without NO_COLOR (https://no-color.org) and TERM=dumb.
Terminal DescribeTerminal(int fd);

// Escape sequences around text; nothing when colours are off.
class Style {
 public:
  explicit Style(bool on) : on_(on) {}
  std::string Bold(absl::string_view text) const { return Wrap("1", text); }
  std::string Dim(absl::string_view text) const { return Wrap("2", text); }
  std::string Red(absl::string_view text) const { return Wrap("31", text); }
  std::string Green(absl::string_view text) const { return Wrap("32", text); }
  std::string Yellow(absl::string_view text) const { return Wrap("33", text); }
  std::string Cyan(absl::string_view text) const { return Wrap("36", text); }

 private:
  std::string Wrap(absl::string_view code, absl::string_view text) const;
  bool on_;
};

// An output buffer on a file descriptor (not owned) that remembers why writing failed. Not thread-safe.
class FdBuffer : public std::streambuf {
 public:
  explicit FdBuffer(int fd);
  ~FdBuffer() override { sync(); }
  FdBuffer(const FdBuffer&) = delete;
  FdBuffer& operator=(const FdBuffer&) = delete;

  int error() const { return error_; }  // errno of the first failed write; 0: none. EPIPE: the reader has gone

 protected:
  int_type overflow(int_type character) override;
  int sync() override;

 private:
  const int fd_;
  int error_ = 0;
  std::vector<char> buffer_;
};

}  // namespace lastro::services
