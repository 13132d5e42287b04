#include "retrieval/hnsw_graph.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <limits>
#include <thread>

#include "base/check.h"
#include "base/status_macros.h"
#include "retrieval/row_threads.h"

namespace lastro::retrieval {
namespace {

constexpr size_t kMaxIdleWalks = 16;

// SplitMix64 (Steele, Lea and Flood, 2014).
uint64_t Mixed(uint64_t x) {
  x += 0x9E3779B97F4A7C15;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
  return x ^ (x >> 31);
}

bool Better(const ScoredRow& a, const ScoredRow& b) { return a.score > b.score; }
bool Worse(const ScoredRow& a, const ScoredRow& b) { return a.score < b.score; }

// A lock of one byte for each row.
class RowLocks {
 public:
  explicit RowLocks(size_t rows) : locks_(new std::atomic<bool>[rows]()) {}
  void Lock(uint32_t row) {
    while (locks_[row].exchange(true, std::memory_order_acquire)) std::this_thread::yield();
  }
  void Unlock(uint32_t row) { locks_[row].store(false, std::memory_order_release); }

 private:
  const std::unique_ptr<std::atomic<bool>[]> locks_;
};

class RowLockGuard {
 public:
  RowLockGuard(RowLocks* locks, uint32_t row) : locks_(locks), row_(row) {
    if (locks_ != nullptr) locks_->Lock(row_);
  }
  ~RowLockGuard() {
    if (locks_ != nullptr) locks_->Unlock(row_);
  }

 private:
  RowLocks* const locks_;
  const uint32_t row_;
};

// Of the candidates, best first, those that are nearer to the row they are for than to any chosen before them (Malkov
// and Yashunin, algorithm 4), up to `most`. Copies of the row are as near to each other as to it: they get half of the
// links, so that there is a way out of many of them.
class LinkChooser {
 public:
  explicit LinkChooser(const QuantizedVectors& vectors) : vectors_(vectors), operand_(vectors) {}

  const std::vector<uint32_t>& Choose(absl::Span<const ScoredRow> candidates, uint32_t most) {
    chosen_.clear();
    for (const ScoredRow& candidate : candidates) {
      if (chosen_.size() == most) break;
      if (!NearerToChosen(candidate, /*or_as_near=*/chosen_.size() >= most / 2)) chosen_.push_back(candidate.row);
    }
    return chosen_;
  }

 private:
  bool NearerToChosen(const ScoredRow& candidate, bool or_as_near) {
    if (chosen_.empty()) return false;
    const CodeOperand operand = operand_.Of(candidate.row);
    float scores[4];
    for (size_t i = 0; i < chosen_.size(); i += 4) {
      const size_t count = std::min<size_t>(4, chosen_.size() - i);
      ScoreRows(operand, vectors_.rows(), &chosen_[i], count, scores);
      for (size_t j = 0; j < count; ++j) {
        if (scores[j] > candidate.score || (or_as_near && scores[j] == candidate.score)) return true;
      }
    }
    return false;
  }

  const QuantizedVectors& vectors_;
  RowOperand operand_;
  std::vector<uint32_t> chosen_;
};

}  // namespace

// One walk at a time; its memory is used again by the next.
class HnswGraph::Walk {
 public:
  // `locks`: of the rows, while links change; null when they do not.
  void Begin(const HnswGraph* graph, const QuantizedVectors* vectors, const CodeOperand& operand,
             RowLocks* locks = nullptr) {
    graph_ = graph;
    vectors_ = vectors;
    operand_ = operand;
    locks_ = locks;
  }

  ScoredRow Score(uint32_t row) const {
    ScoredRow scored{0, row};
    ScoreRows(operand_, vectors_->rows(), &row, 1, &scored.score);
    return scored;
  }

  // From `at` to a row of `level` that has no better neighbour.
  ScoredRow Climb(ScoredRow at, int level) {
    for (bool moved = true; moved;) {
      moved = false;
      const size_t count = CopyLinks(at.row, level, [](uint32_t) { return true; });
      ScoreRows(operand_, vectors_->rows(), rows_, count, scores_);
      for (size_t i = 0; i < count; ++i) {
        if (scores_[i] <= at.score) continue;
        at = {scores_[i], rows_[i]};
        moved = true;
      }
    }
    return at;
  }

  // Fills held() with the best `breadth` rows, allowed ones where `allowed` is not null, that are found from `start`.
  // False when more than `most_scored` rows were scored.
  bool Spread(ScoredRow start, int level, size_t breadth, const RowBitmap* allowed = nullptr,
              size_t most_scored = std::numeric_limits<size_t>::max()) {
    NextEpoch();
    frontier_.clear();
    held_.clear();
    Visit(start.row);
    Push(start, breadth, allowed);
    size_t scored = 1;
    while (!frontier_.empty()) {
      std::pop_heap(frontier_.begin(), frontier_.end(), Worse);
      const ScoredRow at = frontier_.back();
      frontier_.pop_back();
      if (held_.size() == breadth && at.score < held_.front().score) break;
      const size_t count = CopyLinks(at.row, level, [this](uint32_t row) { return Visit(row); });
      ScoreRows(operand_, vectors_->rows(), rows_, count, scores_);
      for (size_t i = 0; i < count; ++i) {
        if (held_.size() == breadth && scores_[i] <= held_.front().score) continue;
        if (level == 0) FetchLinks(rows_[i]);
        Push({scores_[i], rows_[i]}, breadth, allowed);
      }
      scored += count;
      if (scored > most_scored) return false;
    }
    return true;
  }

  // The worst in front.
  std::vector<ScoredRow>& held() { return held_; }

 private:
  void NextEpoch() {
    seen_.resize(graph_->size());
    if (++epoch_ == 0) {
      std::fill(seen_.begin(), seen_.end(), uint8_t{0});
      epoch_ = 1;
    }
  }
  // True the first time.
  bool Visit(uint32_t row) {
    if (seen_[row] == epoch_) return false;
    seen_[row] = epoch_;
    return true;
  }

  template <typename Wanted>
  size_t CopyLinks(uint32_t row, int level, const Wanted& wanted) {
    RowLockGuard guard(locks_, row);
    const uint32_t* links = graph_->Links(row, level);
    size_t count = 0;
    for (uint32_t i = 0; i < LinkCount(level) && links[i] != kNone; ++i) {
      rows_[count] = links[i];
      count += wanted(links[i]);
    }
    return count;
  }

  void FetchLinks(uint32_t row) const {
    const uint32_t* links = graph_->ground_.data() + size_t{row} * kGroundLinks;
    __builtin_prefetch(links);
    __builtin_prefetch(links + kGroundLinks / 2);
  }

  void Push(const ScoredRow& row, size_t breadth, const RowBitmap* allowed) {
    frontier_.push_back(row);
    std::push_heap(frontier_.begin(), frontier_.end(), Worse);
    if (allowed != nullptr && !allowed->Contains(row.row)) return;
    if (held_.size() == breadth) {
      std::pop_heap(held_.begin(), held_.end(), Better);
      held_.pop_back();
    }
    held_.push_back(row);
    std::push_heap(held_.begin(), held_.end(), Better);
  }

  const HnswGraph* graph_ = nullptr;
  const QuantizedVectors* vectors_ = nullptr;
  CodeOperand operand_;
  RowLocks* locks_ = nullptr;
  std::vector<uint8_t> seen_;  // the epoch in which a row was seen last
  uint8_t epoch_ = 0;
  std::vector<ScoredRow> frontier_;  // the best in front
  std::vector<ScoredRow> held_;
  uint32_t rows_[kGroundLinks];
  float scores_[kGroundLinks];
};

// Inserts rows. One for all threads; each has a Worker.
class HnswGraph::Builder {
 public:
  Builder(HnswGraph* graph, const QuantizedVectors& vectors)
      : graph_(graph), vectors_(vectors), locks_(vectors.size()) {}

  void Insert(size_t begin, int threads) {
    if (graph_->entry_ == kNone && begin < vectors_.size()) graph_->entry_ = static_cast<uint32_t>(begin++);
    RowPieces pieces(begin, vectors_.size());
    OnThreads(threads, [&] {
      Worker worker(vectors_);
      pieces.ForEach([&](uint32_t row) { InsertRow(row, &worker); });
    });
  }

 private:
  struct Worker {
    explicit Worker(const QuantizedVectors& vectors) : operand(vectors), neighbour(vectors), chooser(vectors) {}
    RowOperand operand, neighbour;
    Walk walk;
    LinkChooser chooser;
    std::vector<ScoredRow> candidates, crowd;
    std::vector<ScoredRow> chosen[kMaxLevel + 1];  // the new row's links, by level
  };

  void InsertRow(uint32_t row, Worker* worker) {
    const int level = graph_->levels_[row];
    entry_mutex_.Lock();
    const uint32_t entry = graph_->entry_;
    const int top = graph_->levels_[entry];
    if (level <= top) entry_mutex_.Unlock();  // or else nobody else begins until the new entry is in place
    Walk& walk = worker->walk;
    walk.Begin(graph_, &vectors_, worker->operand.Of(row), &locks_);
    ScoredRow at = walk.Score(entry);
    for (int l = top; l > level; --l) at = walk.Climb(at, l);
    const int highest = std::min(level, top);
    for (int l = highest; l >= 0; --l) {
      walk.Spread(at, l, kBuildBreadth);
      worker->candidates = walk.held();
      std::sort(worker->candidates.begin(), worker->candidates.end());
      at = worker->candidates.front();
      ChooseLinks(row, l, worker);
    }
    // From the ground up, and not before all of its own links are there: whoever finds the row on a level goes on from
    // it on those below.
    for (int l = 0; l <= highest; ++l) {
      for (const ScoredRow& link : worker->chosen[l]) LinkBack(link.row, {link.score, row}, l, worker);
    }
    if (level > top) {
      graph_->entry_ = row;
      entry_mutex_.Unlock();
    }
  }

  // The links of a row on a level, the best of its candidates. No walk sees the row yet.
  void ChooseLinks(uint32_t row, int level, Worker* worker) {
    std::vector<ScoredRow>& chosen = worker->chosen[level];
    chosen.clear();
    uint32_t* links = graph_->Links(row, level);
    size_t at = 0;
    for (uint32_t link : worker->chooser.Choose(worker->candidates, kLinks)) {
      while (worker->candidates[at].row != link) ++at;
      chosen.push_back(worker->candidates[at]);
      *links++ = link;
    }
  }

  // Adds a link; when there is no room, `from` chooses among all it has.
  void LinkBack(uint32_t from, ScoredRow to, int level, Worker* worker) {
    RowLockGuard guard(&locks_, from);
    uint32_t* links = graph_->Links(from, level);
    const uint32_t most = LinkCount(level);
    const uint32_t held = static_cast<uint32_t>(std::find(links, links + most, kNone) - links);
    if (held < most) {
      links[held] = to.row;
      return;
    }
    float scores[kGroundLinks];
    ScoreRows(worker->neighbour.Of(from), vectors_.rows(), links, most, scores);
    worker->crowd.assign(1, to);
    for (uint32_t i = 0; i < most; ++i) worker->crowd.push_back({scores[i], links[i]});
    std::sort(worker->crowd.begin(), worker->crowd.end());
    const std::vector<uint32_t>& chosen = worker->chooser.Choose(worker->crowd, most);
    std::fill(std::copy(chosen.begin(), chosen.end(), links), links + most, kNone);
  }

  HnswGraph* const graph_;
  const QuantizedVectors& vectors_;
  RowLocks locks_;
  absl::Mutex entry_mutex_;
};

// Makes the links of rows whose neighbours go. Reads the old graph and writes only the row's own links in the new one.
class HnswGraph::Repair {
 public:
  Repair(const HnswGraph& old, const QuantizedVectors& vectors, absl::Span<const uint32_t> new_rows, HnswGraph* graph)
      : old_(old), vectors_(vectors), new_rows_(new_rows), graph_(graph), operand_(vectors), chooser_(vectors) {}

  void Row(uint32_t row) {
    if (new_rows_[row] == kNone) return;
    for (int level = 0; level <= old_.levels_[row]; ++level) Level(row, level);
  }

 private:
  void Level(uint32_t row, int level) {
    bool lost = false;
    links_.clear();
    ForEachLink(row, level, [&](uint32_t link) {
      if (new_rows_[link] != kNone) {
        links_.push_back(link);
        return;
      }
      lost = true;
      ForEachLink(link, level, [&](uint32_t next) {
        if (new_rows_[next] != kNone && next != row) links_.push_back(next);
      });
    });
    uint32_t* out = graph_->Links(new_rows_[row], level);
    for (uint32_t link : lost ? Best(row, LinkCount(level)) : links_) *out++ = new_rows_[link];
  }

  const std::vector<uint32_t>& Best(uint32_t row, uint32_t most) {
    std::sort(links_.begin(), links_.end());
    links_.erase(std::unique(links_.begin(), links_.end()), links_.end());
    scores_.resize(links_.size());
    ScoreRows(operand_.Of(row), vectors_.rows(), links_.data(), links_.size(), scores_.data());
    candidates_.clear();
    for (size_t i = 0; i < links_.size(); ++i) candidates_.push_back({scores_[i], links_[i]});
    std::sort(candidates_.begin(), candidates_.end());
    return chooser_.Choose(candidates_, most);
  }

  template <typename Visit>
  void ForEachLink(uint32_t row, int level, const Visit& visit) const {
    const uint32_t* links = old_.Links(row, level);
    for (uint32_t i = 0; i < LinkCount(level) && links[i] != kNone; ++i) visit(links[i]);
  }

  const HnswGraph& old_;
  const QuantizedVectors& vectors_;
  const absl::Span<const uint32_t> new_rows_;
  HnswGraph* const graph_;
  RowOperand operand_;
  LinkChooser chooser_;
  std::vector<uint32_t> links_;
  std::vector<float> scores_;
  std::vector<ScoredRow> candidates_;
};

HnswGraph::HnswGraph() = default;
HnswGraph::~HnswGraph() = default;

int HnswGraph::LevelOf(uint32_t row) {
  int level = 0;
  for (uint64_t bits = Mixed(row); level < kMaxLevel && bits % kLinks == 0; bits /= kLinks) ++level;
  return level;
}

uint32_t* HnswGraph::Links(uint32_t row, int level) {
  if (level == 0) return ground_.data() + size_t{row} * kGroundLinks;
  return upper_.data() + (size_t{upper_of_.find(row)->second} + static_cast<size_t>(level) - 1) * kLinks;
}

void HnswGraph::Grow(size_t rows) {
  const size_t ground_before = ground_.size(), upper_before = upper_.size();
  size_t levels = upper_before / kLinks;
  for (size_t row = levels_.size(); row < rows; ++row) {
    const int level = LevelOf(static_cast<uint32_t>(row));
    levels_.Append(static_cast<uint8_t>(level));
    if (level == 0) continue;
    upper_of_[static_cast<uint32_t>(row)] = static_cast<uint32_t>(levels);
    levels += static_cast<size_t>(level);
  }
  ground_.Reserve(rows * kGroundLinks);
  ground_.Resize(rows * kGroundLinks);
  upper_.Resize(levels * kLinks);
  std::fill(ground_.data() + ground_before, ground_.data() + ground_.size(), kNone);
  std::fill(upper_.data() + upper_before, upper_.data() + upper_.size(), kNone);
}

std::unique_ptr<HnswGraph> HnswGraph::Build(const QuantizedVectors& vectors, const HnswGraph* base, int threads) {
  auto graph = std::make_unique<HnswGraph>();
  size_t begin = 0;
  if (base != nullptr) {
    graph->ground_.Reserve(vectors.size() * kGroundLinks);
    graph->levels_.Append(base->levels_.data(), base->levels_.size());
    graph->ground_.Append(base->ground_.data(), base->ground_.size());
    graph->upper_.Append(base->upper_.data(), base->upper_.size());
    graph->upper_of_ = base->upper_of_;
    graph->entry_ = base->entry_;
    begin = base->size();
  }
  LASTRO_CHECK(begin <= vectors.size());
  graph->Grow(vectors.size());
  Builder(graph.get(), vectors).Insert(begin, threads);
  return graph;
}

std::unique_ptr<HnswGraph> HnswGraph::Without(const QuantizedVectors& vectors, absl::Span<const uint32_t> new_rows,
                                              int threads) const {
  LASTRO_CHECK(new_rows.size() == size());
  auto graph = std::make_unique<HnswGraph>();
  size_t levels = 0;
  for (uint32_t row = 0; row < size(); ++row) {
    const uint32_t to = new_rows[row];
    if (to == kNone) continue;
    LASTRO_CHECK(to == graph->levels_.size());
    const uint8_t level = levels_[row];
    graph->levels_.Append(level);
    if (graph->entry_ == kNone || level > graph->levels_[graph->entry_]) graph->entry_ = to;
    if (level == 0) continue;
    graph->upper_of_[to] = static_cast<uint32_t>(levels);
    levels += level;
  }
  graph->ground_.Resize(graph->size() * kGroundLinks);
  graph->upper_.Resize(levels * kLinks);
  std::fill(graph->ground_.data(), graph->ground_.data() + graph->ground_.size(), kNone);
  std::fill(graph->upper_.data(), graph->upper_.data() + graph->upper_.size(), kNone);
  RowPieces pieces(0, size());
  OnThreads(threads, [&] {
    Repair repair(*this, vectors, new_rows, graph.get());
    pieces.ForEach([&](uint32_t row) { repair.Row(row); });
  });
  return graph;
}

std::unique_ptr<HnswGraph::Walk> HnswGraph::TakeWalk() const {
  absl::MutexLock lock(&mutex_);
  if (idle_walks_.empty()) return std::make_unique<Walk>();
  std::unique_ptr<Walk> walk = std::move(idle_walks_.back());
  idle_walks_.pop_back();
  return walk;
}

void HnswGraph::GiveBack(std::unique_ptr<Walk> walk) const {
  absl::MutexLock lock(&mutex_);
  if (idle_walks_.size() < kMaxIdleWalks) idle_walks_.push_back(std::move(walk));
}

std::optional<std::vector<ScoredRow>> HnswGraph::Search(const QuantizedVectors& vectors, const QueryVector& query,
                                                        size_t breadth, const RowBitmap* allowed,
                                                        size_t most_scored) const {
  if (entry_ == kNone) return std::vector<ScoredRow>();
  std::unique_ptr<Walk> walk = TakeWalk();
  walk->Begin(this, &vectors, query.operand());
  ScoredRow at = walk->Score(entry_);
  for (int level = levels_[entry_]; level > 0; --level) at = walk->Climb(at, level);
  std::optional<std::vector<ScoredRow>> found;
  if (walk->Spread(at, 0, breadth, allowed, most_scored)) found = walk->held();
  GiveBack(std::move(walk));
  return found;
}

size_t HnswGraph::bytes() const {
  return levels_.capacity() + (ground_.capacity() + upper_.capacity()) * sizeof(uint32_t) +
         upper_of_.capacity() * (sizeof(std::pair<uint32_t, uint32_t>) + 1);
}

void HnswGraph::Write(IndexSink sink) const {
  WriteNumber(sink, entry_);
  WriteNumbers(sink, levels_.data(), levels_.size());
  WriteNumbers(sink, ground_.data(), ground_.size());
  WriteNumbers(sink, upper_.data(), upper_.size());
}

absl::StatusOr<std::unique_ptr<HnswGraph>> HnswGraph::Read(IndexReader* reader, size_t rows) {
  auto graph = std::make_unique<HnswGraph>();
  LASTRO_RETURN_IF_ERROR(reader->Read(&graph->entry_));
  LASTRO_RETURN_IF_ERROR(reader->Read(rows, &graph->levels_));
  LASTRO_RETURN_IF_ERROR(reader->Read(rows * kGroundLinks, &graph->ground_));
  size_t levels = 0;
  for (size_t row = 0; row < rows; ++row) {
    if (graph->levels_[row] == 0) continue;
    graph->upper_of_[static_cast<uint32_t>(row)] = static_cast<uint32_t>(levels);
    levels += graph->levels_[row];
  }
  LASTRO_RETURN_IF_ERROR(reader->Read(levels * kLinks, &graph->upper_));
  LASTRO_RETURN_IF_ERROR(graph->Check());
  return graph;
}

absl::Status HnswGraph::Check() const {
  const absl::Status bad = absl::InvalidArgumentError("vector index: the graph is malformed");
  if (size() == 0) return entry_ == kNone ? absl::OkStatus() : bad;
  if (entry_ >= size()) return bad;
  for (uint32_t row = 0; row < size(); ++row) {
    if (levels_[row] > kMaxLevel || levels_[row] > levels_[entry_]) return bad;
    for (int level = 0; level <= levels_[row]; ++level) {
      const uint32_t* links = Links(row, level);
      for (uint32_t i = 0; i < LinkCount(level); ++i) {
        if (links[i] != kNone && (links[i] >= size() || levels_[links[i]] < level)) return bad;
      }
    }
  }
  return absl::OkStatus();
}

}  // namespace lastro::retrieval
