#include "services/cli/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "absl/strings/str_cat.h"

namespace lastro::services {
namespace {

constexpr size_t kBufferBytes = 64 << 10;
constexpr int kMinColumns = 20;

bool ColoursWanted() {
  const char* no_color = std::getenv("NO_COLOR");
  const char* term = std::getenv("TERM");
  bool dumb = term == nullptr || absl::string_view(term) == "dumb";
  return (no_color == nullptr || *no_color == '\0') && !dumb;
}

}  // namespace

Terminal DescribeTerminal(int fd) {
  Terminal terminal;
  terminal.is_terminal = isatty(fd) == 1;
  if (!terminal.is_terminal) return terminal;
  terminal.colours = ColoursWanted();
  winsize size = {};
  if (ioctl(fd, TIOCGWINSZ, &size) == 0) {
    if (size.ws_col >= kMinColumns) terminal.columns = size.ws_col;
    if (size.ws_row > 0) terminal.rows = size.ws_row;
  }
  return terminal;
}

std::string Style::Wrap(absl::string_view code, absl::string_view text) const {
  return on_ ? absl::StrCat("\x1b[", code, "m", text, "\x1b[0m") : std::string(text);
}

FdBuffer::FdBuffer(int fd) : fd_(fd), buffer_(kBufferBytes) { setp(buffer_.data(), buffer_.data() + buffer_.size()); }

FdBuffer::int_type FdBuffer::overflow(int_type character) {
  if (sync() != 0) return traits_type::eof();
  if (!traits_type::eq_int_type(character, traits_type::eof())) sputc(traits_type::to_char_type(character));
  return traits_type::not_eof(character);
}

int FdBuffer::sync() {
  const char* data = pbase();
  size_t left = error_ == 0 ? pptr() - pbase() : 0;
  while (left > 0) {
    ssize_t written = write(fd_, data, left);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) {
      error_ = errno;
      break;
    }
    data += written;
    left -= written;
  }
  setp(buffer_.data(), buffer_.data() + buffer_.size());
  return error_ == 0 ? 0 : -1;
}

}  // namespace lastro::services
