package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// module is this module's path. In rules and complaints "./x" stands for a
// package of it.
const module = "github.com/vendstream/vendstream"

// pkg is what `go list` says of a package; Imports are those of its ordinary
// files, and the other two those of its tests.
type pkg struct {
	ImportPath   string
	Imports      []string
	TestImports  []string
	XTestImports []string
}

// graph is packages by their import path, those of other modules and of the
// standard library included.
type graph map[string]pkg

func load(ctx context.Context) (graph, error) {
	list := exec.CommandContext(ctx, "go", "list", "-deps", "-json=ImportPath,Imports,TestImports,XTestImports", module+"/...")
	list.Stderr = os.Stderr
	out, err := list.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	g := graph{}
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		switch err := dec.Decode(&p); {
		case errors.Is(err, io.EOF):
			return g, nil
		case err != nil:
			return nil, fmt.Errorf("go list: %w", err)
		}
		g[p.ImportPath] = p
	}
}

// own are the packages of this module, sorted.
func (g graph) own() []string {
	var own []string
	for path := range g {
		if path == module || strings.HasPrefix(path, module+"/") {
			own = append(own, path)
		}
	}
	slices.Sort(own)
	return own
}

// check returns an error for every import that breaks a rule, and for every rule
// that names no package, since a package that was renamed would escape its rules.
func (g graph) check(rules []rule) []error {
	var found []error
	own := g.own()
	for _, r := range rules {
		for _, pattern := range r.from {
			if !slices.ContainsFunc(own, func(path string) bool { return matches([]string{pattern}, path) }) {
				found = append(found, fmt.Errorf("a rule is for %s, and there is no such package: mend the rule", pattern))
			}
		}
		for _, path := range own {
			if !matches(r.from, path) || matches(r.except, path) {
				continue
			}
			for _, chain := range g.broken(r, path) {
				for i := range chain {
					chain[i] = short(chain[i])
				}
				found = append(found, fmt.Errorf("%s: %s", strings.Join(chain, " imports "), r.why))
			}
		}
	}
	return found
}

// broken returns, for each forbidden package that path reaches, the shortest way
// there.
func (g graph) broken(r rule, path string) [][]string {
	first := slices.Clone(g[path].Imports)
	if r.tests {
		first = append(append(first, g[path].TestImports...), g[path].XTestImports...)
	}
	var chains [][]string
	seen := map[string]bool{path: true}
	queue := [][]string{}
	next := func(chain, imports []string) {
		for _, to := range imports {
			if seen[to] {
				continue
			}
			seen[to] = true
			longer := append(slices.Clone(chain), to)
			if matches(r.never, to) && !matches(r.but, to) {
				chains = append(chains, longer)
			} else if r.deep {
				queue = append(queue, longer)
			}
		}
	}
	next([]string{path}, first)
	for len(queue) > 0 {
		chain := queue[0]
		queue = queue[1:]
		next(chain, g[chain[len(chain)-1]].Imports)
	}
	return chains
}

// matches reports whether a path is in a list of patterns: "./x" is that package
// of this module, "./x/..." that and all below it, "other" every package that is
// neither this module's nor the standard library's, and all else a path as it is,
// with "/..." likewise.
func matches(patterns []string, path string) bool {
	ours := path == module || strings.HasPrefix(path, module+"/")
	for _, pattern := range patterns {
		if pattern == "other" {
			first, _, _ := strings.Cut(path, "/")
			if !ours && strings.Contains(first, ".") {
				return true
			}
			continue
		}
		if rest, local := strings.CutPrefix(pattern, "."); local {
			pattern = module + rest
		}
		if base, tree := strings.CutSuffix(pattern, "/..."); tree {
			if path == base || strings.HasPrefix(path, base+"/") {
				return true
			}
		} else if path == pattern {
			return true
		}
	}
	return false
}

func short(path string) string {
	if rest, ours := strings.CutPrefix(path, module); ours {
		return "." + rest
	}
	return path
}
