// One line on a terminal that is redrawn; elsewhere nothing. Not thread-safe.
#pragma once

#include <ostream>
#include <string>

#include "services/cli/terminal.h"
#include "services/cli/text_width.h"

namespace lastro::services {

class StatusLine {
 public:
  // Both must outlive the line.
  StatusLine(const Terminal& terminal, std::ostream& err) : terminal_(terminal), err_(err) {}
  ~StatusLine() { Show(""); }
  StatusLine(const StatusLine&) = delete;
  StatusLine& operator=(const StatusLine&) = delete;

  void Show(const std::string& text) {
    if (!terminal_.is_terminal) return;
    err_ << "\r\x1b[K" << CutToWidth(text, terminal_.columns - 1) << std::flush;
  }

 private:
  const Terminal& terminal_;
  std::ostream& err_;
};

}  // namespace lastro::services
