"""agent"""

from vivavoce.console.visit import Page

PATH = "/console/agent"
PAGES: tuple[Page, ...] = ()
