#include "ingest/html_tree.h"

#include <csetjmp>
#include <cstddef>
#include <cstdlib>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

namespace lastro::ingest {

// Bump allocation in blocks. Gumbo has no way to report a failed allocation, so a refusal jumps out of the parse: its C
// frames hold nothing but arena memory.
class HtmlArena {
 public:
  HtmlArena(uint64_t max_bytes, const CallContext& context) : max_bytes_(max_bytes), context_(context) {}

  void* Allocate(size_t size) {
    size = (size + alignof(std::max_align_t) - 1) / alignof(std::max_align_t) * alignof(std::max_align_t);
    if (++allocations_ % kCheckInterval == 0 && !context_.Check().ok()) Abandon();
    if (size > left_) AddBlock(size);
    left_ -= size;
    char* taken = next_;
    next_ += size;
    return taken;
  }

  std::jmp_buf* escape() { return &escape_; }
  bool out_of_memory() const { return out_of_memory_; }

 private:
  static constexpr size_t kBlockBytes = 256u << 10;
  static constexpr uint64_t kCheckInterval = 256;

  void AddBlock(size_t size) {
    size_t bytes = std::max(size, kBlockBytes);
    used_bytes_ += bytes;
    if (used_bytes_ > max_bytes_) {
      out_of_memory_ = true;
      Abandon();
    }
    blocks_.push_back(std::unique_ptr<char[]>(new char[bytes]));
    next_ = blocks_.back().get();
    left_ = bytes;
  }

  [[noreturn]] void Abandon() { std::longjmp(escape_, 1); }

  const uint64_t max_bytes_;
  const CallContext context_;
  std::jmp_buf escape_;
  std::vector<std::unique_ptr<char[]>> blocks_;
  char* next_ = nullptr;
  size_t left_ = 0;
  uint64_t used_bytes_ = 0;
  uint64_t allocations_ = 0;
  bool out_of_memory_ = false;
};

namespace {

void* AllocateFromArena(void* arena, size_t size) { return static_cast<HtmlArena*>(arena)->Allocate(size); }
void LeaveToArena(void* arena, void* memory) {}

// Null when the parse was abandoned. Holds no object with a destructor: longjmp ends here.
const GumboOutput* ParseInto(HtmlArena* arena, const GumboOptions* options, const char* html, size_t size) {
  if (setjmp(*arena->escape()) != 0) return nullptr;
  return gumbo_parse_with_options(options, html, size);
}

}  // namespace

HtmlTree::HtmlTree(std::unique_ptr<HtmlArena> arena, const GumboOutput* output)
    : arena_(std::move(arena)), output_(output) {}
HtmlTree::HtmlTree(HtmlTree&&) noexcept = default;
HtmlTree& HtmlTree::operator=(HtmlTree&&) noexcept = default;
HtmlTree::~HtmlTree() = default;

absl::StatusOr<HtmlTree> HtmlTree::Parse(absl::string_view html, uint64_t max_memory_bytes,
                                         const CallContext& context) {
  auto arena = std::make_unique<HtmlArena>(max_memory_bytes, context);
  GumboOptions options = kGumboDefaultOptions;
  options.allocator = &AllocateFromArena;
  options.deallocator = &LeaveToArena;
  options.userdata = arena.get();
  options.max_errors = 0;
  const GumboOutput* output = ParseInto(arena.get(), &options, html.data(), html.size());
  if (output != nullptr) return HtmlTree(std::move(arena), output);
  if (!arena->out_of_memory()) return context.Check();
  return absl::ResourceExhaustedError(
      absl::StrCat("parsing the HTML needs more than ", max_memory_bytes, " bytes of memory"));
}

const char* HtmlAttribute(const GumboNode* node, const char* name) {
  if (node->type != GUMBO_NODE_ELEMENT && node->type != GUMBO_NODE_TEMPLATE) return nullptr;
  const GumboAttribute* attribute = gumbo_get_attribute(&node->v.element.attributes, name);
  return attribute == nullptr ? nullptr : attribute->value;
}

GumboTag HtmlTag(const GumboNode* node) {
  return node->type == GUMBO_NODE_ELEMENT ? node->v.element.tag : GUMBO_TAG_LAST;
}

}  // namespace lastro::ingest
