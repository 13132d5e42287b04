#include "services/cli/progress.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "services/cli/format.h"
#include "services/cli/text_width.h"

namespace lastro::services {
namespace {

constexpr int kBarColumns = 20;

int64_t FilesDone(const v1::Job& job) {
  return job.files_added() + job.files_updated() + job.files_unchanged() + job.files_failed();
}

std::string Bar(double share) {
  int filled = std::clamp(static_cast<int>(share * kBarColumns), 0, kBarColumns);
  return absl::StrCat("[", std::string(filled, '#'), std::string(kBarColumns - filled, '.'), "]");
}

}  // namespace

std::string ProgressLine(const v1::Job& job, absl::Duration elapsed, int columns) {
  int64_t done = FilesDone(job);
  int64_t found = std::max(job.files_found(), done);
  double share = found > 0 ? static_cast<double>(done) / found : 0;
  double seconds = std::max(absl::ToDoubleSeconds(elapsed), 1e-3);
  std::string line = absl::StrCat(Bar(share), " ", FormatCount(done), "/", FormatCount(found), " files  ",
                                  FormatCount(job.chunks_added() + job.chunks_reused()), " chunks  ",
                                  FormatBytes(static_cast<int64_t>(job.bytes_read() / seconds)), "/s");
  bool predictable = done > 0 && done < found && seconds > 1;
  if (predictable) absl::StrAppend(&line, "  ", ShortDuration(elapsed * ((1 - share) / share)), " left");
  return CutToWidth(line, std::max(columns, 1));
}

Progress::Progress(const Terminal& terminal, std::ostream& err) : terminal_(terminal), err_(err), start_(absl::Now()) {}

void Progress::Show(const v1::Job& job) {
  if (!terminal_.is_terminal) return;
  err_ << "\r\x1b[K" << ProgressLine(job, absl::Now() - start_, terminal_.columns - 1) << std::flush;
  shown_ = true;
}

void Progress::Clear() {
  if (shown_) err_ << "\r\x1b[K" << std::flush;
  shown_ = false;
}

}  // namespace lastro::services
