// docs/bodies.md says what the table says.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <string>

#include "ollm/openai/fields.h"

namespace ollm::openai {
namespace {

TEST(BodiesDocument, HasTheTablesOfTheFields) {
  std::ifstream file("docs/bodies.md");  // tests run in the root of the sources
  const std::string text((std::istreambuf_iterator<char>(file)), {});
  EXPECT_NE(text.find(fields_document()), std::string::npos)
      << "docs/bodies.md lacks these tables:\n\n"
      << fields_document();
}

}  // namespace
}  // namespace ollm::openai
