--- What makes report pages move: tables that are searched and sorted, heat maps that tell what is under the pointer or
-- the keyboard's focus. It reads data, never markup: text goes into a page by textContent alone. With its hash, as
-- style.lua.
-- Layer: Lua.

return { hash = "H2Ghie43qzYD/S3x1JW2iolX46HG+eaJGD7p8SuRYLc=", text = [[
"use strict";
(function () {
   var STEP = 200, filters = [];

   function four(v) {
      var a = Math.abs(v);
      if (v === 0) return "0";
      return a >= 1e-4 && a < 1e6 ? String(Number(v.toPrecision(4))) : v.toExponential(3);
   }
   function share(v) {
      if (v > 0 && v < 0.001) return "<0.1 %";
      return v === 0 || v === 1 ? v * 100 + " %" : Math.min(v * 100, 99.9).toFixed(1) + " %";
   }
   function bytes(v) {
      var units = ["B", "KiB", "MiB", "GiB", "TiB"], u = 0;
      while (v >= 1024 && u < 4) { v /= 1024; u++; }
      return (u ? v.toFixed(1) : v) + " " + units[u];
   }
   var show = {
      text: String, number: four, share: share, bytes: bytes, bar: four,
      cosine: function (v) { return v.toFixed(5); },
      count: function (v) { return v.toLocaleString("en-US"); }
   };
   function value(v) { return v === "inf" ? Infinity : v; }
   function shown(kind, v) {
      if (v === null) return "";
      return v === "inf" ? "\u221e" : show[kind](v);
   }
   function bar(part) {
      var ns = "http://www.w3.org/2000/svg", svg = document.createElementNS(ns, "svg");
      var rect = document.createElementNS(ns, "rect");
      svg.setAttribute("viewBox", "0 0 100 10");
      svg.setAttribute("preserveAspectRatio", "none");
      svg.setAttribute("aria-hidden", "true");
      rect.setAttribute("width", String(Math.max(1, 100 * part)));
      rect.setAttribute("height", "10");
      svg.appendChild(rect);
      return svg;
   }
   function matcher(text) {
      var words = text.toLowerCase().split(/\s+/).filter(Boolean).map(function (word) {
         return word.split("*").filter(Boolean);
      });
      return function (row) {
         var all = row.search;
         return words.every(function (parts) {
            var at = 0;
            return parts.every(function (part) {
               at = all.indexOf(part, at);
               if (at < 0) return false;
               at += part.length;
               return true;
            });
         });
      };
   }

   function table(section) {
      var data = JSON.parse(section.querySelector("script[type='application/json']").textContent);
      var body = section.querySelector("tbody"), search = section.querySelector("input[type=search]");
      var more = section.querySelector(".more"), told = section.querySelector(".told");
      var only = section.querySelector("input[type=checkbox]"), chip = section.querySelector(".chip");
      var columns = data.columns, rows = data.rows.map(function (cells, i) {
         var texts = cells.filter(function (c, k) { return columns[k].kind === "text" && c !== null; });
         return { cells: cells, search: texts.join(" ").toLowerCase(), at: i };
      });
      var state = { column: data.sorted, down: data.down, limit: STEP, block: null, kind: null };
      var found = rows, top = {};
      columns.forEach(function (column, k) {
         if (column.kind !== "bar") return;
         top[k] = rows.reduce(function (m, r) {
            var v = r.cells[k];
            return typeof v === "number" && v > m ? v : m;
         }, 0);
      });

      function compare(a, b) {
         var x = value(a.cells[state.column]), y = value(b.cells[state.column]), d;
         if (x === null || y === null) d = x === y ? 0 : x === null ? 1 : -1;
         else {
            d = typeof x === "string" ? x.localeCompare(y, "en", { numeric: true }) : x - y;
            if (state.down) d = -d;
         }
         return d || a.at - b.at;
      }
      function draw() {
         body.textContent = "";
         var part = document.createDocumentFragment();
         found.slice(0, state.limit).forEach(function (row) {
            var tr = document.createElement("tr");
            columns.forEach(function (column, k) {
               var td = document.createElement("td"), v = row.cells[k];
               td.textContent = shown(column.kind, v);
               if (column.kind !== "text") td.className = "n";
               if (k === 0) td.className = "mono";
               if (column.kind === "bar" && typeof v === "number" && top[k] > 0) td.appendChild(bar(v / top[k]));
               tr.appendChild(td);
            });
            part.appendChild(tr);
         });
         body.appendChild(part);
         var left = found.length - Math.min(state.limit, found.length);
         more.hidden = left === 0;
         more.textContent = "Show " + Math.min(STEP, left).toLocaleString("en-US") + " more";
         told.textContent = found.length.toLocaleString("en-US") + " of " + rows.length.toLocaleString("en-US");
      }
      function update() {
         var test = matcher(search.value);
         found = rows.filter(function (row) {
            if (only && only.checked && row.cells[data.only] !== true) return false;
            if (state.block !== null && row.cells[data.block] !== state.block) return false;
            if (state.kind !== null && row.cells[data.kind] !== state.kind) return false;
            return test(row);
         }).sort(compare);
         Array.prototype.forEach.call(section.querySelectorAll("thead th"), function (th, k) {
            if (k === state.column) th.setAttribute("aria-sort", state.down ? "descending" : "ascending");
            else th.removeAttribute("aria-sort");
         });
         var words = [state.block, state.kind].filter(function (w) { return w !== null; });
         chip.hidden = words.length === 0;
         chip.textContent = words.join(" \u00b7 ") + "  \u00d7";
         draw();
      }
      columns = columns.filter(function (column) { return column.kind !== "hidden"; });
      Array.prototype.forEach.call(section.querySelectorAll("thead th"), function (th, k) {
         var button = document.createElement("button");
         button.type = "button";
         button.textContent = th.textContent;
         th.textContent = "";
         th.appendChild(button);
         button.addEventListener("click", function () {
            var first = columns[k].kind !== "text";
            state.down = state.column === k ? !state.down : first;
            state.column = k;
            update();
         });
      });
      search.addEventListener("input", function () { state.limit = STEP; update(); });
      if (only) only.addEventListener("change", function () { state.limit = STEP; update(); });
      more.addEventListener("click", function () { state.limit += STEP; draw(); });
      chip.addEventListener("click", function () { state.block = state.kind = null; update(); search.focus(); });
      filters.push(function (block, kind) {
         state.block = block;
         state.kind = kind;
         state.limit = STEP;
         update();
      });
      section.querySelector(".controls").hidden = false;
      update();
   }

   function heat(section) {
      var grid = section.querySelector(".heat"), readout = section.querySelector(".readout");
      var cells = Array.prototype.slice.call(grid.querySelectorAll("td[data-t]")), rest = readout.textContent;
      function tell(cell) { readout.textContent = cell ? cell.getAttribute("data-t") : rest; }
      function go(cell) {
         cells.forEach(function (c) { c.tabIndex = c === cell ? 0 : -1; });
         cell.focus();
      }
      function choose(cell) {
         var was = cell.getAttribute("aria-selected") === "true";
         cells.forEach(function (c) { c.removeAttribute("aria-selected"); });
         if (!was) cell.setAttribute("aria-selected", "true");
         filters.forEach(function (set) {
            set(was ? null : cell.getAttribute("data-block"), was ? null : cell.getAttribute("data-kind"));
         });
      }
      function step(cell, rows, columns) {
         var tr = cell.parentNode, k = cell.cellIndex;
         for (;;) {
            if (rows) tr = rows > 0 ? tr.nextElementSibling : tr.previousElementSibling;
            k += columns;
            var next = tr && tr.cells[k];
            if (!next || next.tagName === "TH") return;
            if (next.hasAttribute("data-t")) return go(next);
         }
      }
      var moves = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] };
      cells.forEach(function (cell, i) {
         cell.tabIndex = i === 0 ? 0 : -1;
         cell.addEventListener("mouseenter", function () { tell(cell); });
         cell.addEventListener("mouseleave", function () { tell(null); });
         cell.addEventListener("focus", function () { tell(cell); });
         cell.addEventListener("blur", function () { tell(null); });
         cell.addEventListener("click", function () { go(cell); choose(cell); });
         cell.addEventListener("keydown", function (event) {
            var move = moves[event.key];
            if (move) step(cell, move[0], move[1]);
            else if (event.key === "Enter" || event.key === " ") choose(cell);
            else return;
            event.preventDefault();
         });
      });
   }

   Array.prototype.forEach.call(document.querySelectorAll("section.rows"), table);
   Array.prototype.forEach.call(document.querySelectorAll("section.map"), heat);
})();
]] }
