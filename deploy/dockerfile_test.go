package deploy_test

import (
	"debug/elf"
	"encoding/json"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// stage is one FROM of the Dockerfile with its instructions, those of the stages
// below it first.
type stage struct {
	image string
	lines [][2]string
}

func (s stage) all(instruction string) []string {
	var found []string
	for _, line := range s.lines {
		if line[0] == instruction {
			found = append(found, line[1])
		}
	}
	return found
}

func (s stage) last(instruction string) string {
	found := s.all(instruction)
	if len(found) == 0 {
		return ""
	}
	return found[len(found)-1]
}

func dockerfile(t *testing.T) map[string]stage {
	t.Helper()
	stages := map[string]stage{}
	current := ""
	for _, line := range strings.Split(read(t, "deploy/Dockerfile"), "\n") {
		instruction, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch instruction {
		case "", "#":
		case "FROM":
			words := strings.Fields(rest)
			if len(words) != 3 || words[1] != "AS" {
				t.Fatalf("a stage without a name: %s", line)
			}
			current = words[2]
			below := stages[words[0]]
			stages[current] = stage{image: words[0], lines: slices.Clone(below.lines)}
		default:
			s := stages[current]
			s.lines = append(s.lines, [2]string{instruction, rest})
			stages[current] = s
		}
	}
	return stages
}

func TestDockerfile(t *testing.T) {
	stages := dockerfile(t)
	for name, s := range stages {
		if _, own := stages[s.image]; !own && !pinned.MatchString(s.image) {
			t.Errorf("stage %s: image %s has no whole version", name, s.image)
		}
	}
	if want := "golang:" + goVersion.FindStringSubmatch(read(t, "go.mod"))[1]; !strings.HasPrefix(stages["build"].image, want) {
		t.Errorf("built with %s, go.mod asks for %s", stages["build"].image, want)
	}
	if !strings.Contains(strings.Join(stages["build"].all("RUN"), "\n"), "CGO_ENABLED=0 go build -trimpath -ldflags \"-s -w\" -o /out/ ./cmd/...") {
		t.Error("is not built as this test builds the programs")
	}
	_, cfg := composed(t)
	exposed := map[string]string{"vendstream": port(t, cfg.HTTP.Addr), "vendlab": "8090"}
	for _, name := range []string{"vendstream", "vendlab"} {
		s, there := stages[name]
		if !there {
			t.Errorf("there is no stage %s", name)
			continue
		}
		if user := s.last("USER"); user != "65532:65532" {
			t.Errorf("%s runs as %q", name, user)
		}
		path := "/usr/local/bin/" + name
		if !slices.Contains(s.all("COPY"), "--from=build /out/"+name+" "+path) || s.last("ENTRYPOINT") != `["`+path+`"]` {
			t.Errorf("%s: entry point %s is not the copied program", name, s.last("ENTRYPOINT"))
		}
		if s.last("EXPOSE") != exposed[name] {
			t.Errorf("%s exposes %s, want %s", name, s.last("EXPOSE"), exposed[name])
		}
		if text := s.last("CMD"); text != "" {
			var args []string
			if err := json.Unmarshal([]byte(text), &args); err != nil {
				t.Fatalf("%s: CMD %s: %v", name, text, err)
			}
			checkCommand(t, name, args)
		}
	}
}

// TestStatic looks for what a program needs of the image: a dynamic linker.
func TestStatic(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("programs are built for this system, which has no ELF files")
	}
	for _, name := range []string{"vendstream", "vendlab"} {
		file, err := elf.Open(filepath.Join(bin, name))
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		for _, part := range file.Progs {
			if part.Type == elf.PT_INTERP {
				t.Errorf("%s is not static", name)
			}
		}
	}
}
