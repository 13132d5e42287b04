#include "engine/prefix_cache.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace lastro::engine {
namespace {

// Scopes that are remembered; the names come from outside.
constexpr size_t kMaxScopes = 4096;

}  // namespace

void KnownRun::DropFirst(int64_t count) {
  const int64_t block = table.pool().shape().block_tokens, dropped = (position + count) / block - position / block;
  begin += count;
  position += count;
  tokens -= count;
  BlockTable left(table.pool());
  left.Share(table.blocks().subspan(static_cast<size_t>(dropped)));
  table = std::move(left);
}

PrefixCache::PrefixCache(KvPool& pool, int64_t max_bytes, bool by_content)
    : pool_(pool), max_blocks_(std::max<int64_t>(0, max_bytes / pool.block_bytes())), by_content_(by_content) {
  pool_.SetReserve([this](int64_t count) { return GiveBack(count); });
}

PrefixCache::~PrefixCache() {
  pool_.SetReserve(nullptr);
  absl::MutexLock lock(&mutex_);
  for (auto& [name, root] : roots_) DropAll(&root->node);
}

int64_t PrefixCache::blocks() const {
  absl::MutexLock lock(&mutex_);
  return static_cast<int64_t>(recent_.size());
}

PrefixCache::Root& PrefixCache::RootOf(const KvScope& scope) {
  const std::pair<std::string, bool> key = {scope.name, scope.exact};
  if (roots_.size() >= kMaxScopes && roots_.count(key) == 0) {
    for (auto& [name, root] : roots_) DropAll(&root->node);
    roots_.clear();
  }
  std::unique_ptr<Root>& root = roots_[key];
  if (root == nullptr) {
    root = std::make_unique<Root>();
    root->version = scope.version;
  }
  return *root;
}

PrefixCache::Root& PrefixCache::Enter(const KvScope& scope) {
  Root& root = RootOf(scope);
  if (root.version != scope.version) {
    root.by_content.clear();
    DropAll(&root.node);
  }
  root.version = scope.version;
  return root;
}

void PrefixCache::Forget(Node* node) {
  const auto found = node->root->by_content.find(node->self->first);
  if (found != node->root->by_content.end() && found->second == node) node->root->by_content.erase(found);
}

void PrefixCache::Touch(Node* node) {
  for (; node->parent != nullptr; node = node->parent) recent_.splice(recent_.begin(), recent_, node->recent);
}

void PrefixCache::DropOldest() {
  Node* const node = recent_.back();
  recent_.pop_back();
  if (by_content_) Forget(node);
  pool_.Release({node->block});
  node->parent->children.erase(node->self);
}

void PrefixCache::DropAll(Node* node) {
  // Without recursion: a chain is as long as a text.
  std::vector<Children> open;
  open.push_back(std::exchange(node->children, {}));
  while (!open.empty()) {
    Children children = std::move(open.back());
    open.pop_back();
    for (auto& [tokens, child] : children) {
      recent_.erase(child->recent);
      pool_.Release({child->block});
      if (!child->children.empty()) open.push_back(std::exchange(child->children, {}));
    }
  }
}

BlockTable PrefixCache::Find(const KvScope& scope, absl::Span<const int32_t> tokens, int64_t limit) {
  const size_t size = static_cast<size_t>(pool_.shape().block_tokens);
  BlockTable table(pool_);
  absl::MutexLock lock(&mutex_);
  Node* node = &Enter(scope).node;
  std::vector<int32_t> blocks;
  for (size_t at = 0; at + size <= tokens.size() && static_cast<int64_t>(at + size) <= limit; at += size) {
    const auto found = node->children.find({tokens.begin() + at, tokens.begin() + at + size});
    if (found == node->children.end()) break;
    node = found->second.get();
    blocks.push_back(node->block);
  }
  Touch(node);
  table.Share(blocks);
  return table;
}

void PrefixCache::Add(const KvScope& scope, absl::Span<const int32_t> tokens, const BlockTable& table) {
  const size_t size = static_cast<size_t>(pool_.shape().block_tokens);
  absl::MutexLock lock(&mutex_);
  Root& root = RootOf(scope);
  if (root.version != scope.version) return;
  Node* node = &root.node;
  for (size_t i = 0; (i + 1) * size <= tokens.size() && static_cast<int64_t>(i) < max_blocks_; ++i) {
    const auto [at, fresh] = node->children.try_emplace({tokens.begin() + i * size, tokens.begin() + (i + 1) * size});
    if (fresh) {
      at->second = std::make_unique<Node>();
      at->second->root = &root;
      at->second->parent = node;
      at->second->index = static_cast<int64_t>(i);
      at->second->self = at;
      at->second->block = table.blocks()[i];
      pool_.Share({at->second->block});
      recent_.push_front(at->second.get());
      at->second->recent = recent_.begin();
      if (by_content_) root.by_content[at->first] = at->second.get();
    }
    node = at->second.get();
  }
  Touch(node);
  while (static_cast<int64_t>(recent_.size()) > max_blocks_) DropOldest();
}

struct PrefixCache::Run {
  int64_t begin = 0, end = 0, position = 0;
  std::vector<Node*> nodes;  // the last first
};

// As long a run as can be of tokens[from, limit) that holds tokens[at, at + block), which `node` has.
PrefixCache::Run PrefixCache::RunAround(Node* node, absl::Span<const int32_t> tokens, int64_t at, int64_t from,
                                        int64_t limit) const {
  const int64_t size = pool_.shape().block_tokens;
  Run run = {at, at + size, node->index * size, {}};
  Node* first = node;
  for (Node* before = node->parent; before->parent != nullptr; before = before->parent) {
    int64_t same = 0;
    while (same < size && run.begin - same > from &&
           before->tokens()[static_cast<size_t>(size - 1 - same)] ==
               tokens[static_cast<size_t>(run.begin - 1 - same)]) {
      ++same;
    }
    if (same > 0) first = before;
    run.begin -= same;
    run.position -= same;
    if (same < size) break;
  }
  Node* last = node;
  for (int64_t same = size; same == size;) {
    const auto next =
        tokens.subspan(static_cast<size_t>(run.end), static_cast<size_t>(std::min(size, limit - run.end)));
    same = 0;
    // Of sorted children those beside where `next` would be begin with the most of it.
    const auto above = last->children.lower_bound({next.begin(), next.end()});
    Node* best = nullptr;
    auto look_at = [&](Children::const_iterator child) {
      const auto end = std::mismatch(next.begin(), next.end(), child->first.begin(), child->first.end()).first;
      if (end - next.begin() <= same) return;
      same = end - next.begin();
      best = child->second.get();
    };
    if (above != last->children.end()) look_at(above);
    if (above != last->children.begin()) look_at(std::prev(above));
    if (best == nullptr) break;
    last = best;
    run.end += same;
  }
  for (Node* at_node = last; at_node != first->parent; at_node = at_node->parent) run.nodes.push_back(at_node);
  return run;
}

std::vector<KnownRun> PrefixCache::FindRuns(const KvScope& scope, absl::Span<const int32_t> tokens, int64_t from,
                                            int64_t limit, int64_t least) {
  const int64_t size = pool_.shape().block_tokens;
  std::vector<KnownRun> runs;
  absl::MutexLock lock(&mutex_);
  Root& root = Enter(scope);
  limit = std::min(limit, static_cast<int64_t>(tokens.size()));
  std::vector<int32_t> block;
  for (int64_t at = from; at + size <= limit;) {
    block.assign(tokens.begin() + at, tokens.begin() + at + size);
    const auto found = root.by_content.find(block);
    const Run run = found == root.by_content.end() ? Run() : RunAround(found->second, tokens, at, from, limit);
    if (run.end - run.begin < least) {
      ++at;
      continue;
    }
    KnownRun known = {run.begin, run.end - run.begin, run.position, BlockTable(pool_)};
    for (auto node = run.nodes.rbegin(); node != run.nodes.rend(); ++node) known.table.Share({(*node)->block});
    Touch(run.nodes.front());
    runs.push_back(std::move(known));
    from = at = run.end;
  }
  return runs;
}

bool PrefixCache::GiveBack(int64_t count) {
  absl::MutexLock lock(&mutex_);
  const int64_t before = pool_.blocks_in_use();
  const size_t held = recent_.size();
  while (!recent_.empty() && before - pool_.blocks_in_use() < count) DropOldest();
  return recent_.size() < held;
}

}  // namespace lastro::engine
