-- darktable: a target of the export module that also paints what is exported.
--
-- Copy this file into darktable's folder "lua" and add `require "darktable_cnnart"` to "luarc";
-- see docs/integrations.md. The environment variable CNNART is the command, if it is not on the
-- PATH.

local dt = require "darktable"

local COMMAND = os.getenv("CNNART") or "cnnart"
local DOMAIN = "cnnart"

local style = dt.new_widget("entry") {
  tooltip = "a name (cnnart styles list) or the path of a picture",
  text = dt.preferences.read(DOMAIN, "style", "string"),
}
local folder = dt.new_widget("entry") {
  tooltip = "the folder for the paintings",
  text = dt.preferences.read(DOMAIN, "folder", "string"),
}

-- A word for the shell that stands for itself.
local function quoted(word)
  return "'" .. word:gsub("'", "'\\''") .. "'"
end

local function remember()
  dt.preferences.write(DOMAIN, "style", "string", style.text)
  dt.preferences.write(DOMAIN, "folder", "string", folder.text)
end

-- All exported files at once, in one process: the network is loaded once.
local function paint(storage, exported)
  remember()
  local words = { quoted(COMMAND), "fast-stylize" }
  for _, file in pairs(exported) do
    words[#words + 1] = quoted(file)
  end
  local out = folder.text:gsub("/+$", "") .. "/"
  for _, word in ipairs { "--style", style.text, "-q", "-o", out } do
    words[#words + 1] = quoted(word)
  end
  local done = os.execute(table.concat(words, " "))
  for _, file in pairs(exported) do
    os.remove(file)
  end
  if done == true or done == 0 then
    dt.print("cnnart: the paintings are in " .. out)
  else
    dt.print("cnnart failed: start darktable in a terminal to see why")
  end
end

local function exported_one(storage, image, format, filename, number, total)
  dt.print(string.format("cnnart: exported %d of %d", number, total))
end

dt.register_storage(
  DOMAIN,
  "paint with cnnart",
  exported_one,
  paint,
  nil,
  nil,
  dt.new_widget("box") {
    orientation = "vertical",
    dt.new_widget("label") { label = "style" },
    style,
    dt.new_widget("label") { label = "folder" },
    folder,
  }
)
