#include "services/compute_options.h"

#include <CLI/CLI.hpp>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace lastro::services {
namespace {

absl::StatusOr<engine::ComputeType> ParseComputeType(const std::string& name) {
  if (name == "auto") return engine::ComputeType::kAuto;
  if (name == "fp32") return engine::ComputeType::kFloat32;
  if (name == "bf16") return engine::ComputeType::kBFloat16;
  if (name == "fp16") return engine::ComputeType::kFloat16;
  if (name == "fp8") return engine::ComputeType::kFloat8;
  return absl::InvalidArgumentError(absl::StrCat("compute type '", name, "' is none of auto, fp32, bf16, fp16, fp8"));
}

absl::StatusOr<std::optional<kernels::KvType>> ParseKvType(const std::string& name) {
  if (name == "auto") return std::nullopt;
  if (name == "fp32") return kernels::KvType::kF32;
  if (name == "fp16") return kernels::KvType::kF16;
  if (name == "int8") return kernels::KvType::kInt8;
  return absl::InvalidArgumentError(absl::StrCat("KV type '", name, "' is none of auto, fp32, fp16, int8"));
}

}  // namespace

void AddComputeOptions(CLI::App* app, ComputeConfig* config) {
  app->add_option("--threads", config->threads, "compute threads; 0: one per core")
      ->type_name("N")
      ->check(CLI::Range(0, 1024))
      ->capture_default_str();
  app->add_option(
         "--compute-type", config->compute_type,
         "auto, fp32, bf16 or, on a GPU, fp16 (more exact than bf16, for models made for it: numbers beyond 65504 "
         "are lost) or fp8 (half the memory and traffic of bf16 weights, less exact)")
      ->type_name("TYPE")
      ->check(CLI::IsMember({"auto", "fp32", "bf16", "fp16", "fp8"}))
      ->capture_default_str();
  app->add_option("--device", config->device,
                  "auto (a GPU where there is one), cpu, cuda or cuda:N; to serve also cuda:N,M or cuda:all: the "
                  "models on each of these GPUs, a call on the one with the fewest")
      ->type_name("DEVICE")
      ->capture_default_str();
  app->add_option("--gpu-memory", config->gpu_bytes,
                  "GPU memory for everything, such as 20GiB; default: nine tenths of what is free")
      ->option_text("SIZE")
      ->check(CLI::PositiveNumber)
      ->transform(CLI::AsSizeValue(false));
  app->add_flag("--overlap-kernels", config->kernels_overlap,
                "on a Hopper GPU kernels may start before the one ahead has ended: the same results, and less time "
                "between them (not yet measured)");
  app->add_option("--kv-memory", config->kv_bytes,
                  "memory for the tokens of running texts, such as 4GiB; default: a quarter of the machine's, half of "
                  "what a GPU has left")
      ->option_text("SIZE")
      ->check(CLI::PositiveNumber)
      ->transform(CLI::AsSizeValue(false));
  app->add_option("--kv-reuse", config->reuse_bytes,
                  "of this, what is kept of prompts for others that begin alike; 0: nothing; default: 256MiB")
      ->option_text("SIZE")
      ->check(CLI::NonNegativeNumber)
      ->transform(CLI::AsSizeValue(false));
  app->add_flag(
      "--reuse-chunks", config->reuse_chunks,
      "what is kept also where a prompt holds it at another place: the same passages in another order answer "
      "sooner, a little less exactly, and what callers of one tenant and labels ask has a say in each other's "
      "answers; rotary models on the CPU, not with --deterministic");
  app->add_option("--kv-type", config->kv_type,
                  "how this memory is kept on the CPU: fp32, fp16, int8 (a quarter of fp32, less exact), or auto: fp16 "
                  "with bf16 compute, else fp32")
      ->type_name("TYPE")
      ->check(CLI::IsMember({"auto", "fp32", "fp16", "int8"}))
      ->capture_default_str();
  app->add_flag("--deterministic", config->deterministic,
                "the same results to the last bit whoever else is served; slower prompts");
}

absl::StatusOr<engine::RuntimeOptions> MakeRuntimeOptions(const ComputeConfig& config) {
  engine::RuntimeOptions options;
  options.threads = config.threads;
  options.device = config.device;
  options.gpu_bytes = config.gpu_bytes;
  options.kv_bytes = config.kv_bytes;
  options.reuse_bytes = config.reuse_bytes;
  options.reuse_chunks = config.reuse_chunks;
  options.deterministic = config.deterministic;
  options.kernels_overlap = config.kernels_overlap;
  LASTRO_ASSIGN_OR_RETURN(options.compute_type, ParseComputeType(config.compute_type));
  LASTRO_ASSIGN_OR_RETURN(options.kv_type, ParseKvType(config.kv_type));
  return options;
}

}  // namespace lastro::services
