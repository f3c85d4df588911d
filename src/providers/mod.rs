//! Everything a stack can be made of: the one list of providers and the one list of kinds.

pub mod std;

use ::std::sync::LazyLock;

use crate::kind::{ProviderRegistration, Registration, computed, object, provider as connects};

/// Every provider, by name.
pub static PROVIDERS: LazyLock<Vec<ProviderRegistration>> = LazyLock::new(|| vec![connects::<std::Std>()]);

/// Every kind, in the order of the help.
pub static KINDS: LazyLock<Vec<Registration>> = LazyLock::new(|| {
    vec![
        computed::<std::value::Value>(),
        object::<std::file::File>(),
        computed::<std::template::Template>(),
        object::<std::command::Command>(),
        computed::<std::random::Random>(),
        object::<std::wait_http::WaitHttp>(),
    ]
});

/// Finds a kind by the name in a stack file.
#[must_use]
pub fn kind(name: &str) -> Option<&'static Registration> {
    KINDS.iter().find(|kind| kind.name == name)
}

/// Finds a provider by its name.
#[must_use]
pub fn provider(name: &str) -> Option<&'static ProviderRegistration> {
    PROVIDERS.iter().find(|provider| provider.name == name)
}

/// Names the cargo feature that would bring a family of kinds, if this build lacks it.
#[must_use]
pub fn left_out(family: &str) -> Option<&'static str> {
    let absent = [
        ("local", "local", cfg!(feature = "local")),
        ("aws", "aws", cfg!(feature = "aws")),
        ("azure", "azure", cfg!(feature = "azure")),
        ("kubernetes", "kubernetes", cfg!(feature = "kubernetes")),
    ];
    absent
        .iter()
        .find(|(name, _, built)| *name == family && !built)
        .map(|(_, feature, _)| *feature)
}
