// The library in a few lines: plans, loads and goes on from a text. Usage: story MODEL TEXT
#include <iostream>

#include "ollm/ollm.h"

static ollm::Result<void> tell(const char* model, const char* text) {
  ollm::Settings settings;
  settings.runtime.model_reference = model;
  OLLM_TRY(const ollm::Plan plan, ollm::make_plan(settings, {.context_tokens = 512}));
  OLLM_TRY(const ollm::Runtime runtime, ollm::Runtime::load(plan));
  OLLM_TRY(ollm::Session session, runtime.new_session());
  OLLM_TRY_VOID(session.generate(ollm::Prompt::raw(text), {.max_new_tokens = 200},
                                 [](std::string_view piece) { std::cout << piece << std::flush; }));
  std::cout << "\n";
  return {};
}

int main(int argc, char** argv) {
  if (argc != 3) return std::cerr << "usage: story MODEL TEXT\n", 2;
  const ollm::Result<void> told = tell(argv[1], argv[2]);
  if (!told.ok()) std::cerr << "story: " << told.error().message << "\n";
  return told.ok() ? 0 : 1;
}
