// SPDX-License-Identifier: GPL-3.0-or-later
// A job type for Flamenco 3: copy it into the folder `scripts` beside flamenco-manager. docs/farm.md is its manual.
//
// Look at the shot once, then paint it in chunks, then go over the whole of it again. Every task runs the command line
// as an artist would, so each can be tried by copying it from the task's log.

const JOB_TYPE = {
    label: "Pentimento Animation",
    description: "Stylize the frames of a shot",
    settings: [
        // For the artist to decide.
        { key: "frames", type: "string", required: true,
          eval: "f'{C.scene.frame_start}-{C.scene.frame_end}'",
          evalInfo: { showLinkButton: true, description: "Scene frame range" },
          description: "Frames to paint. Examples: '47', '1-30', '3, 5-10, 47-327'" },
        { key: "chunk_size", type: "int32", default: 20, propargs: { min: 1, max: 10000 }, visible: "submission",
          description: "Frames per task. Each starts Pentimento and opens the style, so no less than ten" },
        { key: "rendered", label: "Rendered Frames", type: "string", required: true, visible: "submission",
          eval: "(lambda path, end: path if path.lower().endswith(end) else path + end)("
              + "C.scene.render.filepath + '####' * ('#' not in C.scene.render.filepath), C.scene.render.file_extension)",
          // No link button: the add-on would link this one, and leave what is computed from it below as it was.
          evalInfo: { showLinkButton: false, description: "Scene render output" },
          description: "The rendered frames, with one # for each digit of their number" },
        { key: "style", type: "string", required: true, default: "Starry Night",
          description: "A style that is installed on every worker, or the path of a style pack on the shared storage" },
        { key: "out", label: "Folder", type: "string", subtype: "dir_path", required: true, visible: "submission",
          description: "Where the painted frames are stored, on the shared storage" },
        { key: "look_first", label: "Look at the Shot First", type: "bool", default: true,
          description: "One task looks at the whole shot before any frame is painted" },
        { key: "shot", label: "Shot File", type: "string", subtype: "file_path", visible: "submission",
          description: "What was seen of the shot. Empty: shot.json among the painted frames, if Look First is on; else none" },
        { key: "options", type: "string", default: "",
          description: "More options of pentimento animate. Examples: '--strength .8', '--overlay Scale --seed 3'. "
              + "Names with spaces or backslashes in single quotes" },
        { key: "pentimento", type: "string", required: true, default: "pentimento", visible: "submission",
          description: "The program on the workers: its name, its path, or a variable of flamenco-manager.yaml in braces" },

        // Computed in Blender: paths that begin with // mean nothing to a worker.
        { key: "rendered_path", label: "Paint", type: "string", editable: false,
          eval: "str(abspath(settings.rendered)) if settings.rendered else ''" },
        { key: "out_path", label: "Into", type: "string", editable: false,
          eval: "str(abspath(settings.out)) if settings.out else ''" },
        { key: "shot_path", type: "string", visible: "hidden",
          eval: "str(abspath(settings.shot)) if settings.shot else ''" },
    ],
};

// More frames than any shot has: a chunk of this size is the whole range, merged.
const ALL_FRAMES = 10000000;

function compileJob(job) {
    const settings = checked(job.settings);
    const range = frameChunker(settings.frames, ALL_FRAMES)[0];
    const shot = settings.shot || (settings.look_first ? path.join(settings.out, "shot.json") : "");

    let look = null;
    if (settings.look_first) {
        look = author.Task("look", "misc");
        look.addCommand(pentimento(settings, ["shot", settings.rendered, "--frames", range, "--out", shot]));
        job.addTask(look);
    }

    // A chunk that was cut off is handed to another worker, and --resume makes what is missing of it.
    const chunks = [];
    for (const frames of frameChunker(settings.frames, settings.chunk_size)) {
        const chunk = author.Task(`paint-${frames}`, "misc");
        chunk.addCommand(pentimento(settings, animateArguments(settings, frames, shot)));
        if (look) chunk.addDependency(look);
        job.addTask(chunk);
        chunks.push(chunk);
    }

    // The same once more, over all frames: it reads what is there, makes what is missing or damaged, clears partial
    // files away, and fails if a frame cannot be had. Where all is well it takes a second.
    const check = author.Task("check", "misc");
    check.addCommand(pentimento(settings, animateArguments(settings, range, shot)));
    for (const chunk of chunks) check.addDependency(chunk);
    job.addTask(check);
}

// The settings with whole paths, or an error that says what to fill in. Jobs from elsewhere than Blender have no
// computed settings: they give whole paths in the first place.
function checked(settings) {
    const found = {
        frames: settings.frames,
        chunk_size: settings.chunk_size || 20,
        rendered: settings.rendered_path || settings.rendered,
        style: settings.style,
        out: settings.out_path || settings.out,
        look_first: settings.look_first === undefined || settings.look_first,
        shot: settings.shot_path || settings.shot,
        options: settings.options || "",
        pentimento: settings.pentimento || "pentimento",
    };
    for (const key of ["frames", "rendered", "style", "out"]) {
        if (!found[key]) throw `${key} is empty: fill it in.`;
    }
    if (found.rendered.indexOf("#") < 0) {
        throw `${found.rendered} has no #: write one for each digit of the frame's number, such as shot_####.exr.`;
    }
    return found;
}

function animateArguments(settings, frames, shot) {
    const args = ["animate", settings.rendered, "--frames", frames, "--style", settings.style, "--out", settings.out];
    if (shot) args.push("--shot", shot);
    if (settings.options) { // shellSplit is younger than the rest of what is used here
        for (const option of shellSplit(settings.options)) args.push(option);
    }
    args.push("--resume");
    return args;
}

// `exec` starts the program without a shell: each argument arrives as it is, spaces, quotes and backslashes too.
function pentimento(settings, args) {
    return author.Command("exec", { exe: settings.pentimento, args: args });
}
