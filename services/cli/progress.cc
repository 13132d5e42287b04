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

// Of a re-embedding, which knows chunks alone.
std::string ChunksLine(const v1::Job& job, double seconds) {
  const int64_t done = job.chunks_added() + job.chunks_reused();
  const int64_t found = std::max(job.chunks_found(), done);
  const double share = found > 0 ? static_cast<double>(done) / found : 0;
  std::string line = absl::StrCat(Bar(share), " ", FormatCount(done), "/", FormatCount(found), " chunks");
  const bool predictable = job.chunks_added() > 0 && done < found && seconds > 1;
  if (predictable) {
    const double left = seconds * static_cast<double>(found - done) / static_cast<double>(job.chunks_added());
    absl::StrAppend(&line, "  ", ShortDuration(absl::Seconds(left)), " left");
  }
  return line;
}

std::string FilesLine(const v1::Job& job, double seconds) {
  int64_t done = FilesDone(job);
  int64_t found = std::max(job.files_found(), done);
  double share = found > 0 ? static_cast<double>(done) / found : 0;
  std::string line = absl::StrCat(Bar(share), " ", FormatCount(done), "/", FormatCount(found), " files  ",
                                  FormatCount(job.chunks_added() + job.chunks_reused()), " chunks  ",
                                  FormatBytes(static_cast<int64_t>(job.bytes_read() / seconds)), "/s");
  bool predictable = done > 0 && done < found && seconds > 1;
  if (predictable) absl::StrAppend(&line, "  ", ShortDuration(absl::Seconds(seconds) * ((1 - share) / share)), " left");
  return line;
}

}  // namespace

std::string ProgressLine(const v1::Job& job, absl::Duration elapsed, int columns) {
  const double seconds = std::max(absl::ToDoubleSeconds(elapsed), 1e-3);
  const std::string line = job.embedding_model().empty() ? FilesLine(job, seconds) : ChunksLine(job, seconds);
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
