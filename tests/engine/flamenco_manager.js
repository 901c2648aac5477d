// What Flamenco Manager lends a job compiler script (Flamenco 3: its documentation of job types and of commands, and
// the schema AvailableJobSetting of its API), and no more. `node flamenco_manager.js SCRIPT < request`.
//
//   request: {"settings": {...}, "splits": {text: [word, ...]}}     splits: what shellSplit is asked for
//        or: {"chunks": [frames, size]}                             to test this file's own frameChunker
//   answer:  {"type": JOB_TYPE, "tasks": [...]} or {"error": what it threw}, or the chunks
"use strict";

const fs = require("fs");
const vm = require("vm");

// Commands a worker knows, and the types of their parameters.
const COMMANDS = {
    exec: { exe: isText, args: (value) => value.every(isText) },
    echo: { message: isText },
    sleep: { duration_in_seconds: (value) => value >= 0 },
    "make-directory": { path: isText },
    "move-directory": { src: isText, dest: isText },
    "copy-file": { src: isText, dest: isText },
};

function isText(value) {
    return typeof value === "string";
}

function task(name, type) {
    if (!name.trim() || !type.trim()) throw new Error("author.Task(name, type): both are required");
    const made = { name: name.trim(), type: type.trim(), commands: [], dependencies: [] };
    made.addCommand = (added) => made.commands.push(added);
    made.addDependency = (needed) => made.dependencies.push(needed.name);
    return made;
}

function command(name, parameters) {
    const known = COMMANDS[name];
    if (!known) throw new Error(`no worker knows the command ${name}`);
    for (const key of Object.keys(known)) {
        if (!known[key](parameters[key])) throw new Error(`${name}: ${key} is ${parameters[key]}`);
    }
    return { name, parameters };
}

// A list of Go's, which scripts go through and index; it need not have the methods of an array.
function list(items) {
    const lent = { length: items.length, [Symbol.iterator]: () => items[Symbol.iterator]() };
    items.forEach((item, index) => { lent[index] = item; });
    return lent;
}

function chunked(range, size) {
    if (!(size >= 1)) throw new Error(`invalid chunk size, must be positive number: ${size}`);
    const frames = exploded(range);
    const chunks = [];
    for (let first = 0; first < frames.length; first += size) chunks.push(merged(frames.slice(first, first + size)));
    if (!chunks.length) throw new Error(`invalid range "${range}": empty range`);
    return chunks;
}

function exploded(range) {
    const frames = new Set();
    for (const part of range.replaceAll("..", "-").split(",")) {
        const ends = part.split("-").map((end) => (/^\s*\d+\s*$/.test(end) ? Number(end) : NaN));
        if (ends.length > 2 || ends.some(Number.isNaN)) throw new Error(`invalid range "${range}": ${part}`);
        for (let frame = ends[0]; frame <= ends[ends.length - 1]; frame++) frames.add(frame);
    }
    return [...frames].sort((one, other) => one - other);
}

function merged(frames) {
    const runs = [];
    for (const frame of frames) {
        const last = runs[runs.length - 1];
        if (last && frame === last[1] + 1) last[1] = frame;
        else runs.push([frame, frame]);
    }
    // Flamenco writes two frames as two.
    return runs.map(([a, b]) => (a === b ? `${a}` : a + 1 === b ? `${a},${b}` : `${a}-${b}`)).join(",");
}

function compiled(text, request) {
    const tasks = [];
    const job = { name: "a job", created: new Date(0), settings: request.settings };
    // As Flamenco does it: what a task gets after it was added does not count.
    job.addTask = (added) => tasks.push(JSON.parse(JSON.stringify(added)));
    const lent = vm.createContext({
        author: { Task: task, Command: command },
        path: { join: (...parts) => require("path").posix.join(...parts).replaceAll("\\", "/") },
        frameChunker: (range, size) => list(chunked(range, size)),
        shellSplit: (words) => list(request.splits[words]),
        print: () => undefined,
    });
    vm.runInContext(`"use strict";\n${text}`, lent); // Flamenco compiles in strict mode
    const type = vm.runInContext("JOB_TYPE", lent);
    try {
        vm.runInContext("compileJob", lent)(job);
    } catch (error) {
        return { error: isText(error) ? error : `${error.name}: ${error.message}` };
    }
    return { type, tasks };
}

const request = JSON.parse(fs.readFileSync(0, "utf8"));
const answer = request.chunks ? chunked(...request.chunks) : compiled(fs.readFileSync(process.argv[2], "utf8"), request);
process.stdout.write(JSON.stringify(answer));
