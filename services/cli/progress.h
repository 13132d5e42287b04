// Progress of an ingestion as one line that is redrawn on a terminal; elsewhere nothing is shown. Not thread-safe.
#pragma once

#include <ostream>
#include <string>

#include "absl/time/time.h"
#include "lastro/v1/ingest.pb.h"
#include "services/cli/terminal.h"

namespace lastro::services {

// "[#####.....] 120/300 files  2,345 chunks  3.2 MiB/s  12 s left", at most `columns` columns.
std::string ProgressLine(const v1::Job& job, absl::Duration elapsed, int columns);

class Progress {
 public:
  Progress(const Terminal& terminal, std::ostream& err);
  ~Progress() { Clear(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void Show(const v1::Job& job);
  void Clear();  // takes the line off the screen

 private:
  const Terminal terminal_;
  std::ostream& err_;
  const absl::Time start_;
  bool shown_ = false;
};

}  // namespace lastro::services
