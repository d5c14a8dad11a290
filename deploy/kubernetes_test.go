package deploy_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/vendstream/vendstream/internal/config"
)

type object struct {
	Kind     string `yaml:"kind"`
	Metadata struct {
		Name   string            `yaml:"name"`
		Labels map[string]string `yaml:"labels"`
	} `yaml:"metadata"`
	Data map[string]string `yaml:"data"`
	Spec struct {
		Selector struct {
			MatchLabels map[string]string `yaml:"matchLabels"`
		} `yaml:"selector"`
		Template struct {
			Metadata struct {
				Labels      map[string]string `yaml:"labels"`
				Annotations map[string]string `yaml:"annotations"`
			} `yaml:"metadata"`
			Spec pod `yaml:"spec"`
		} `yaml:"template"`
	} `yaml:"spec"`
}

type pod struct {
	Grace           int  `yaml:"terminationGracePeriodSeconds"`
	ServiceLinks    bool `yaml:"enableServiceLinks"`
	SecurityContext struct {
		RunAsNonRoot bool `yaml:"runAsNonRoot"`
		RunAsUser    int  `yaml:"runAsUser"`
	} `yaml:"securityContext"`
	Containers []container `yaml:"containers"`
	Volumes    []struct {
		Name      string `yaml:"name"`
		ConfigMap struct {
			Name string `yaml:"name"`
		} `yaml:"configMap"`
		Secret struct {
			SecretName string `yaml:"secretName"`
		} `yaml:"secret"`
	} `yaml:"volumes"`
}

type container struct {
	Args []string `yaml:"args"`
	Env  []struct {
		Name  string `yaml:"name"`
		Value string `yaml:"value"`
	} `yaml:"env"`
	Ports []struct {
		Name          string `yaml:"name"`
		ContainerPort int    `yaml:"containerPort"`
	} `yaml:"ports"`
	LivenessProbe   *probe `yaml:"livenessProbe"`
	ReadinessProbe  *probe `yaml:"readinessProbe"`
	SecurityContext struct {
		ReadOnlyRootFilesystem   bool  `yaml:"readOnlyRootFilesystem"`
		AllowPrivilegeEscalation *bool `yaml:"allowPrivilegeEscalation"`
	} `yaml:"securityContext"`
	Resources struct {
		Limits struct {
			Memory string `yaml:"memory"`
		} `yaml:"limits"`
	} `yaml:"resources"`
	VolumeMounts []struct {
		Name      string `yaml:"name"`
		MountPath string `yaml:"mountPath"`
	} `yaml:"volumeMounts"`
}

type probe struct {
	HTTPGet struct {
		Path string `yaml:"path"`
		Port string `yaml:"port"`
	} `yaml:"httpGet"`
}

func objects(t *testing.T) map[string]object {
	t.Helper()
	found := map[string]object{}
	for dec := yaml.NewDecoder(strings.NewReader(read(t, "deploy/kubernetes/vendstream.yaml"))); ; {
		var o object
		switch err := dec.Decode(&o); {
		case errors.Is(err, io.EOF):
			return found
		case err != nil:
			t.Fatal(err)
		}
		found[o.Kind+"/"+o.Metadata.Name] = o
	}
}

func TestKubernetes(t *testing.T) {
	all := objects(t)
	files := all["ConfigMap/vendstream"].Data
	cfg, warnings, err := config.Load(config.Options{
		Environ: []string{"VENDSTREAM_CONFIG=vendstream.yaml"},
		ReadFile: func(name string) ([]byte, error) {
			if text, there := files[name]; there {
				return []byte(text), nil
			}
			return []byte("a password"), nil
		},
	})
	if err != nil || len(warnings) > 0 {
		t.Fatalf("the ConfigMap's configuration: %v %v", warnings, err)
	}
	for name, command := range map[string]string{
		"Job/vendstream-provision": "provision", "Deployment/vendstream-consumer": "consumer", "Deployment/vendstream-poller": "poller",
	} {
		t.Run(name, func(t *testing.T) {
			o, there := all[name]
			if !there || len(o.Spec.Template.Spec.Containers) != 1 {
				t.Fatal("is not there with one container")
			}
			p := o.Spec.Template.Spec
			c := p.Containers[0]
			if !slices.Equal(c.Args, []string{command}) {
				t.Errorf("arguments %v", c.Args)
			}
			checkCommand(t, "vendstream", c.Args)
			env := map[string]string{}
			for _, v := range c.Env {
				env[v.Name] = v.Value
			}
			checkMemory(t, env["GOMEMLIMIT"], c.Resources.Limits.Memory)
			delete(env, "GOMEMLIMIT")
			checkVariables(t, name, env, cfg)
			if !p.SecurityContext.RunAsNonRoot || p.SecurityContext.RunAsUser != 65532 || p.ServiceLinks ||
				!c.SecurityContext.ReadOnlyRootFilesystem || c.SecurityContext.AllowPrivilegeEscalation == nil || *c.SecurityContext.AllowPrivilegeEscalation {
				t.Error("is not confined")
			}
			checkMounts(t, p, c, env["VENDSTREAM_CONFIG"], files, cfg)
			if o.Kind == "Deployment" {
				checkDaemon(t, o, cfg)
			}
		})
	}
}

// checkMemory checks that the runtime's limit leaves a tenth of the container's, which
// is for what the runtime does not count.
func checkMemory(t *testing.T, runtime, container string) {
	t.Helper()
	var soft, hard int
	if _, err := fmt.Sscanf(runtime, "%dMiB", &soft); err != nil {
		t.Errorf("GOMEMLIMIT %q: %v", runtime, err)
	}
	if _, err := fmt.Sscanf(container, "%dMi", &hard); err != nil {
		t.Errorf("memory limit %q: %v", container, err)
	}
	if soft*10 < hard*8 || soft*10 > hard*9+9 {
		t.Errorf("GOMEMLIMIT %s does not fit to a limit of %s", runtime, container)
	}
}

// checkMounts checks that the configuration and every password_file lie where
// something is mounted that has them.
func checkMounts(t *testing.T, p pod, c container, configPath string, files map[string]string, cfg *config.Config) {
	t.Helper()
	at := map[string]string{}
	for _, m := range c.VolumeMounts {
		at[m.Name] = m.MountPath
	}
	for _, v := range p.Volumes {
		switch {
		case at[v.Name] == "":
			t.Errorf("volume %s is not mounted", v.Name)
		case v.ConfigMap.Name == "vendstream":
			if _, there := files[path.Base(configPath)]; !there || path.Dir(configPath) != at[v.Name] {
				t.Errorf("%s is not in the ConfigMap mounted at %s", configPath, at[v.Name])
			}
		case v.Secret.SecretName == "vendstream":
			for _, account := range cfg.Accounts {
				if path.Dir(account.PasswordFile) != at[v.Name] {
					t.Errorf("%s is not in the secret mounted at %s", account.PasswordFile, at[v.Name])
				}
			}
		default:
			t.Errorf("volume %s is of nothing that is here", v.Name)
		}
	}
}

func checkDaemon(t *testing.T, o object, cfg *config.Config) {
	t.Helper()
	p := o.Spec.Template.Spec
	c := p.Containers[0]
	if grace := time.Duration(p.Grace) * time.Second; grace <= stopTime(cfg) {
		t.Errorf("terminationGracePeriodSeconds %s, need more than %s", grace, stopTime(cfg))
	}
	if len(c.Ports) != 1 || itoa(c.Ports[0].ContainerPort) != port(t, cfg.HTTP.Addr) {
		t.Errorf("ports %v, http.addr %s", c.Ports, cfg.HTTP.Addr)
	}
	for want, probe := range map[string]*probe{"/healthz": c.LivenessProbe, "/readyz": c.ReadinessProbe} {
		if probe == nil || probe.HTTPGet.Path != want || probe.HTTPGet.Port != c.Ports[0].Name {
			t.Errorf("the probe of %s is %+v", want, probe)
		}
	}
	labels := o.Spec.Template.Metadata.Labels
	for name, value := range o.Spec.Selector.MatchLabels {
		if labels[name] != value {
			t.Errorf("the selector's %s=%s is not the template's", name, value)
		}
	}
	if !maps.Equal(labels, o.Metadata.Labels) {
		t.Errorf("labels %v and %v differ", labels, o.Metadata.Labels)
	}
	if o.Spec.Template.Metadata.Annotations["prometheus.io/port"] != port(t, cfg.HTTP.Addr) {
		t.Error("Prometheus is sent to another port")
	}
}

// TestKubernetesIsStrict reads the file once more for keys that stand twice,
// which the reader of the cluster refuses.
func TestKubernetesIsStrict(t *testing.T) {
	dec := yaml.NewDecoder(bytes.NewReader([]byte(read(t, "deploy/kubernetes/vendstream.yaml"))))
	for {
		var any map[string]any
		if err := dec.Decode(&any); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
}
