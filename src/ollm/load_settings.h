/// \file
/// Settings from where people set them: command line, environment, ollm.toml, defaults; and the
/// table of all fields, that flags and help can be made of. A program that sets its own settings
/// needs ollm.h alone.
#pragma once

#include "ollm/ollm.h"
#include "ollm/settings/fields.h"
#include "ollm/settings/sources.h"

namespace ollm {

using io::Environment;
using settings::load_settings;
using settings::settings_fields;
using settings::SettingsField;
using settings::SettingsOverride;
using settings::SettingsSources;

}  // namespace ollm
